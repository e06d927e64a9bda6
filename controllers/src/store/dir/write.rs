//! Writing a file so that readers see the old one or the new one, whole, whatever happens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::Serialize;

/// Replaces a file by one that is on disk when this returns.
pub fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    write_through(path, content, 0o666, true)
}

/// Replaces a file that only this user may read, durably.
pub fn write_secretly(path: &Path, content: &[u8]) -> io::Result<()> {
    write_through(path, content, 0o600, true)
}

/// Replaces a file at once; after a power cut it may be the one before.
pub fn write_soon(path: &Path, content: &[u8]) -> io::Result<()> {
    write_through(path, content, 0o666, false)
}

/// Overwrites a file by as long a content, durably, without making a new one. Only what fits into one sector of a disk is
/// the old or the new one after a power cut.
pub fn overwrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) if file.metadata()?.len() == content.len() as u64 => file,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => return write_durably(path, content),
    };
    file.write_all_at(content, 0)?;
    file.sync_data()
}

/// Replaces a file by a value in JSON that a person can read too.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_durably(path, &json(value)?)
}

/// Removes a file that may be gone already.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

/// Opens a file; where its folder is missing, that is made.
pub(super) fn in_its_folder(path: &Path, open: impl Fn() -> io::Result<File>) -> io::Result<File> {
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder_of(path))?;
            open()
        }
        opened => opened,
    }
}

fn write_through(path: &Path, content: &[u8], mode: u32, durably: bool) -> io::Result<()> {
    let folder = folder_of(path);
    // In the same folder, because a rename cannot cross file systems; named so that no reader takes it.
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_new(&temporary, content, mode, durably).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error that matters is the first.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    if durably { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn write_new(path: &Path, content: &[u8], mode: u32, durably: bool) -> io::Result<()> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
    let mut file = in_its_folder(path, open)?;
    file.write_all(content)?;
    if durably { file.sync_all() } else { Ok(()) }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

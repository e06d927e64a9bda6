//! A whole document in a file: written beside, made durable, then renamed into its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use karman_contract::document::{DocumentName, Stamp};

use super::files::{Found, journal_path, snapshot_path, unfinished_path};
use super::sealed::{self, HEADER_BYTES, Label, Seal};
use super::sync_dir;

/// Documents come in tiny pieces; the disk and the checksum want large ones.
const BUFFER_BYTES: usize = 256 * 1024;

/// Saves what `write` writes; gives the file and the length of the document.
pub(super) fn save(
    dir: &Path,
    kind: DocumentName,
    stamp: Stamp,
    write: impl FnOnce(&mut dyn Write),
) -> io::Result<(PathBuf, u64)> {
    let label = Label { kind, stamp, base: None };
    let unfinished = unfinished_path(dir, kind);
    let path = snapshot_path(dir, kind, stamp);
    let saved = write_file(&unfinished, label, write).and_then(|bytes| {
        remove_journal(dir, &path)?;
        fs::rename(&unfinished, &path)?;
        sync_dir(dir)?;
        Ok(bytes)
    });
    if saved.is_err() {
        // It may take the last room on the disk; there is nothing to do if it cannot be removed either.
        let _ = fs::remove_file(&unfinished);
    }
    saved.map(|bytes| (path, bytes))
}

/// A snapshot of this stamp that could not be used may have left a journal: it is not this one's.
fn remove_journal(dir: &Path, snapshot: &Path) -> io::Result<()> {
    match fs::remove_file(journal_path(snapshot)) {
        Ok(()) => sync_dir(dir),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

fn write_file(path: &Path, label: Label, write: impl FnOnce(&mut dyn Write)) -> io::Result<u64> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&[b' '; HEADER_BYTES])?;
    let sink = Sealing { file, seal: Seal::new(label), failed: None };
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, sink);
    write(&mut out);
    let flushed = out.flush();
    let (Sealing { mut file, seal, failed }, _) = out.into_parts();
    failed.map_or(flushed, Err)?;
    file.rewind()?;
    file.write_all(&seal.to_header()?)?;
    file.sync_all()?;
    Ok(seal.bytes())
}

/// Remembers the first error: whoever writes the document may not look at each, and what is written
/// after one must not make the file look whole.
struct Sealing {
    file: File,
    seal: Seal,
    failed: Option<io::Error>,
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(e) = &self.failed {
            return Err(e.kind().into());
        }
        if let Err(e) = self.file.write_all(bytes) {
            let kind = e.kind();
            self.failed = Some(e);
            return Err(kind.into());
        }
        self.seal.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the document, or says what is wrong with the file.
pub(super) fn read(file: &Found, kind: DocumentName) -> Result<Vec<u8>, String> {
    let said = |e: io::Error| e.to_string();
    if let Some(why) = file.newer() {
        return Err(why);
    }
    let mut input = File::open(&file.path).map_err(said)?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    Read::by_ref(&mut input).take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(said)?;
    let opened = sealed::open(&header)?;
    let wanted = Label { kind, stamp: file.stamp, base: None };
    if opened.label() != wanted {
        return Err(format!("its header is of {} {}", opened.label().kind, opened.label().stamp));
    }
    let mut document = Vec::new();
    input.read_to_end(&mut document).map_err(said)?;
    opened.check(&document)?;
    Ok(document)
}

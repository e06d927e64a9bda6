//! What the admin socket said once and the next process has to know: a small JSON file for each.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is kept is far smaller; a larger file is something else.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// `None` if nothing is kept there.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

/// There is always the whole old file or the whole new one.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.unfinished", std::process::id()));
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // Or the name may be the old file's again after a loss of power.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

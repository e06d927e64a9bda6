//! What a publisher of a directory remembers from one run to the next: the last good version of
//! every entry, so that a file that is broken when it starts costs nobody a route.
//!
//! They stand in two files, a line for each: one has them all, and one what came into use since that was written. A file
//! for each entry costs a change more than all else that is done for it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};

use super::Directory;
use super::write::{in_its_folder, remove, write_soon};
use crate::catalog::Accepted;
use crate::store::{Entry, Key, Remembered};

#[cfg(test)]
mod tests;

const ALL: &str = "good.jsonl";
const SINCE: &str = "good.since.jsonl";
/// Where each had a file of its own in releases before this.
const BEFORE: &str = "good";

/// What came since may be as long as what has all, and this long in any case, before it is laid over that.
const SINCE_BYTES_MAX: u64 = 64 * 1024 * 1024;

type Good = BTreeMap<Key, Remembered>;

impl Directory {
    /// The last good version of every entry.
    pub(super) fn good_versions(&self) -> Good {
        // In this order: one may be laid over the other meanwhile, and then stands in both.
        let since = self.lines(SINCE);
        let mut good = Good::new();
        for (key, version) in self.lines(ALL).into_iter().chain(since) {
            match version {
                Some(version) => drop(good.insert(key, version)),
                None => drop(good.remove(&key)),
            }
        }
        good
    }

    /// Remembers the versions that came into use.
    pub(super) fn keep(&self, accepted: &Accepted) -> io::Result<()> {
        self.add(accepted, SINCE_BYTES_MAX)
    }

    /// Not forced to disk: what a power cut takes from these copies still stands in the store.
    fn add(&self, accepted: &Accepted, since_bytes_max: u64) -> io::Result<()> {
        let path = self.own_path(SINCE);
        let file = in_its_folder(&path, || OpenOptions::new().append(true).create(true).open(&path))?;
        let length = file.metadata()?.len();
        let mut out = BufWriter::new(&file);
        // Ends what a crash may have torn, which is no line then, and costs one copy.
        out.write_all(b"\n")?;
        // Secrets are renewed by machines, and one copy of them is enough.
        for (key, turn) in accepted.iter().filter(|(key, _)| !key.kind.is_secret()) {
            write_line(&mut out, key, turn.now.as_deref().map(|Entry { file, text, .. }| (file.as_str(), text.as_str())))?;
        }
        out.flush()?;
        if length == 0 {
            match fs::remove_dir_all(self.own_path(BEFORE)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let all = fs::metadata(self.own_path(ALL)).map_or(0, |all| all.len());
        if length > since_bytes_max.max(all) { self.lay_over() } else { Ok(()) }
    }

    fn lay_over(&self) -> io::Result<()> {
        let mut all = Vec::new();
        for (key, Remembered { file, text }) in &self.good_versions() {
            write_line(&mut all, key, Some((file, text)))?;
        }
        write_soon(&self.own_path(ALL), &all)?;
        remove(&self.own_path(SINCE))
    }

    /// What cannot be read is no loss: the files themselves are still there.
    fn lines(&self, name: &str) -> Vec<(Key, Option<Remembered>)> {
        let text = fs::read(self.own_path(name)).unwrap_or_default();
        text.split(|byte| *byte == b'\n').filter_map(read_line).collect()
    }
}

/// A key, and the file and text of its version in use: none if it is gone.
fn write_line(out: &mut impl Write, key: &Key, version: Option<(&str, &str)>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &(key.to_string(), version))?;
    out.write_all(b"\n")
}

fn read_line(line: &[u8]) -> Option<(Key, Option<Remembered>)> {
    let (key, version): (String, Option<(String, String)>) = serde_json::from_slice(line).ok()?;
    Some((Key::parse(&key)?, version.map(|(file, text)| Remembered { file, text })))
}

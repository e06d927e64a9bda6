//! The last good documents on disk, so that the proxy starts and serves with every controller dead.
//!
//! One [`Saved`] a kind of document. A snapshot holds a whole document and is never changed; beside it
//! grows a journal of deltas, because one app changed among 100,000 must not cost 30 MB of writing:
//!
//! ```text
//! apps-1766476800-42.v1.json      a header line, then the document
//! apps-1766476800-42.v1.journal   the deltas after it, each a header line and the delta
//! ```
//!
//! Nothing is written in place and nothing is cut off: a journal that did not take a record whole is
//! not appended to again, the next save is a snapshot. So whatever a crash, a full disk or a bad block
//! leaves behind, the file before it still holds. Here are bytes only; what they mean is the caller's.
//!
//! Every call waits for the disk: make it on a blocking thread. One process at a time saves.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use karman_contract::document::{DocumentName, Stamp};

mod files;
mod journal;
mod sealed;
mod snapshot;
#[cfg(test)]
mod tests;

use files::{Files, file_name};
use journal::Journal;

/// The version of the format, in the names of the files and in their headers.
const FORMAT: u32 = 1;
/// Snapshots kept, each with its journal.
const SNAPSHOTS_KEPT: usize = 3;
/// A journal smaller than this asks for no new snapshot, however small the old one is.
const JOURNAL_BYTES_MIN: u64 = 1024 * 1024;

/// The saved documents of one kind.
#[derive(Debug)]
pub struct Saved {
    dir: PathBuf,
    kind: DocumentName,
    latest: Option<Latest>,
    /// A save failed, or what was loaded is not all that was saved: only a snapshot makes it good.
    behind: bool,
    /// Another process saves now.
    retired: bool,
    /// Snapshots that cannot be used, and why not.
    unusable: BTreeMap<PathBuf, String>,
}

/// The newest snapshot, and how far its journal reaches.
#[derive(Debug)]
struct Latest {
    snapshot: PathBuf,
    snapshot_bytes: u64,
    journal: Journal,
    reached: Stamp,
}

/// What stood on disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub snapshot: Option<(Stamp, Vec<u8>)>,
    /// To be applied to the snapshot in this order.
    pub deltas: Vec<Vec<u8>>,
    /// One for each file that was passed over: what was found in it, and what was used instead.
    pub warnings: Vec<String>,
}

impl Saved {
    /// Makes the directory if there is none, and loads the newest document that is whole.
    pub fn open(dir: &Path, kind: DocumentName) -> io::Result<(Self, Loaded)> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut saved =
            Self { dir: dir.to_owned(), kind, latest: None, behind: false, retired: false, unusable: BTreeMap::new() };
        let loaded = saved.load()?;
        Ok((saved, loaded))
    }

    /// For a caller that cannot read the snapshot it was given: loads the one before. The warnings are
    /// about all files that were passed over so far, and take the place of those given before.
    pub fn fall_back(&mut self, why: &str) -> io::Result<Loaded> {
        if let Some(latest) = self.latest.take() {
            self.unusable.insert(latest.snapshot, why.to_owned());
        }
        self.load()
    }

    /// From now on another process saves: nothing is written here any more.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// For a caller that could not apply every delta: what it holds is not what stands on disk.
    pub fn expect_whole(&mut self) {
        self.behind = true;
    }

    /// Whether the whole document should be saved now: there is none on disk, a save failed, or the
    /// journal has outgrown its snapshot. Ask after each delta: a snapshot of the very stamp that the
    /// journal before it has reached loses nothing when it turns out to be torn.
    pub fn wants_whole(&self) -> bool {
        let outgrown = |latest: &Latest| latest.journal.bytes() > latest.snapshot_bytes.max(JOURNAL_BYTES_MIN);
        !self.retired && (self.behind || self.latest.as_ref().is_none_or(outgrown))
    }

    /// Saves a whole document, which `write` writes. After an error the earlier files are as they were.
    pub fn save_whole(&mut self, stamp: Stamp, write: impl FnOnce(&mut dyn Write)) -> io::Result<()> {
        if self.retired {
            return Ok(());
        }
        if let Some(reached) = self.latest.as_ref().map(|latest| latest.reached).filter(|reached| stamp < *reached) {
            return Err(io::Error::other(format!("{stamp} is older than {reached}, which is on disk")));
        }
        self.behind = true;
        let (snapshot, snapshot_bytes) = snapshot::save(&self.dir, self.kind, stamp, write)?;
        self.unusable.remove(&snapshot);
        let journal = Journal::new(&snapshot, 0);
        self.latest = Some(Latest { snapshot, snapshot_bytes, journal, reached: stamp });
        self.behind = false;
        if let Err(e) = self.remove_outlived(stamp) {
            tracing::warn!(dir = %self.dir.display(), error = %e, "outlived saved documents were not removed");
        }
        Ok(())
    }

    /// Saves a change of the document that was saved last. After an error, save the whole document.
    pub fn save_delta(&mut self, stamp: Stamp, json: &[u8]) -> io::Result<()> {
        if self.retired {
            return Ok(());
        }
        let Some(latest) = self.latest.as_mut().filter(|_| !self.behind) else {
            return Err(io::Error::other("an earlier change is not on disk: the whole document has to be saved first"));
        };
        self.behind = true;
        latest.journal.append(self.kind, latest.reached, stamp, json)?;
        latest.reached = stamp;
        self.behind = false;
        Ok(())
    }

    fn load(&mut self) -> io::Result<Loaded> {
        let files = Files::list(&self.dir, self.kind)?;
        let mut flaws: Vec<(PathBuf, String)> = Vec::new();
        for file in files.snapshots.iter().rev() {
            let read = match self.unusable.get(&file.path) {
                Some(why) => Err(why.clone()),
                None => snapshot::read(file, self.kind),
            };
            match read {
                Ok(document) => {
                    let replay = journal::replay(&files.journals, self.kind, file.stamp);
                    flaws.extend(replay.flaw);
                    self.behind = !flaws.is_empty() || replay.journals > 1;
                    self.latest = Some(Latest {
                        snapshot: file.path.clone(),
                        snapshot_bytes: document.len() as u64,
                        journal: Journal::new(&file.path, replay.bytes),
                        reached: replay.reached,
                    });
                    let used = format!("used {} up to {} instead", file_name(&file.path), replay.reached);
                    let warnings = warnings(&flaws, &used);
                    return Ok(Loaded { snapshot: Some((file.stamp, document)), deltas: replay.deltas, warnings });
                }
                Err(why) => {
                    self.unusable.insert(file.path.clone(), why.clone());
                    flaws.push((file.path.clone(), why));
                }
            }
        }
        let warnings = warnings(&flaws, "nothing older is left to use instead");
        Ok(Loaded { warnings, ..Loaded::default() })
    }

    fn remove_outlived(&self, saved: Stamp) -> io::Result<()> {
        let files = Files::list(&self.dir, self.kind)?;
        let usable = files.snapshots.iter().filter(|file| file.stamp <= saved && !self.unusable.contains_key(&file.path));
        let oldest_kept = usable.rev().nth(SNAPSHOTS_KEPT - 1).map_or_else(Stamp::default, |file| file.stamp);
        files.remove_all_but(oldest_kept..=saved)
    }
}

fn warnings(flaws: &[(PathBuf, String)], used: &str) -> Vec<String> {
    flaws.iter().map(|(path, why)| format!("{}: {why}; {used}", path.display())).collect()
}

/// Makes new names in a directory, and the absence of removed ones, outlast a crash.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

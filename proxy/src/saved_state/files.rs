//! Which files of one kind stand in the directory, by name.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use karman_contract::document::{DocumentName, Stamp};

use super::{FORMAT, sealed};

/// Oldest first.
pub(super) struct Files {
    pub(super) snapshots: Vec<Found>,
    pub(super) journals: Vec<Found>,
    /// What a save that did not get to its end left behind.
    unfinished: Vec<PathBuf>,
}

/// A snapshot, or the journal beside it.
pub(super) struct Found {
    pub(super) stamp: Stamp,
    pub(super) format: u32,
    pub(super) path: PathBuf,
}

const SNAPSHOT: &str = "json";
const JOURNAL: &str = "journal";
const UNFINISHED: &str = "unfinished";

pub(super) fn snapshot_path(dir: &Path, kind: DocumentName, stamp: Stamp) -> PathBuf {
    dir.join(format!("{}.{SNAPSHOT}", stem(kind, stamp, FORMAT)))
}

pub(super) fn journal_path(snapshot: &Path) -> PathBuf {
    snapshot.with_extension(JOURNAL)
}

/// Two processes never write into the same file, should they save at once against the rule.
pub(super) fn unfinished_path(dir: &Path, kind: DocumentName) -> PathBuf {
    dir.join(format!("{kind}-{}.{UNFINISHED}", std::process::id()))
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stem(kind: DocumentName, stamp: Stamp, format: u32) -> String {
    format!("{kind}-{}-{}.v{format}", stamp.epoch, stamp.generation)
}

impl Files {
    pub(super) fn list(dir: &Path, kind: DocumentName) -> io::Result<Self> {
        let mut files = Self { snapshots: Vec::new(), journals: Vec::new(), unfinished: Vec::new() };
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = file_name(&path);
            let Some((name, extension)) = name.rsplit_once('.') else { continue };
            let found = parse(kind, name).map(|(stamp, format)| Found { stamp, format, path: path.clone() });
            match extension {
                SNAPSHOT => files.snapshots.extend(found),
                JOURNAL => files.journals.extend(found),
                UNFINISHED if name.starts_with(&format!("{kind}-")) => files.unfinished.push(path),
                _ => {}
            }
        }
        files.snapshots.sort_by_key(|file| (file.stamp, file.format));
        files.journals.sort_by_key(|file| (file.stamp, file.format));
        Ok(files)
    }

    /// Removes what is older than `kept`, what is newer (it could not be used, or it would have been),
    /// and what is unfinished. A file of a newer format is another release's, and stays.
    pub(super) fn remove_all_but(&self, kept: RangeInclusive<Stamp>) -> io::Result<()> {
        let outlived = self.snapshots.iter().chain(&self.journals).filter(|file| !kept.contains(&file.stamp) && !file.is_newer());
        let mut result = Ok(());
        for path in outlived.map(|file| &file.path).chain(&self.unfinished) {
            let removed = fs::remove_file(path);
            result = result.and(removed); // all are tried, whichever fails first
        }
        result
    }
}

impl Found {
    /// Why a file of a newer format is not read; its name says so before it is opened.
    pub(super) fn newer(&self) -> Option<String> {
        (self.format > FORMAT).then(|| sealed::newer(self.format))
    }

    fn is_newer(&self) -> bool {
        self.format > FORMAT || sealed::format_of_file(&self.path).is_some_and(|format| format > FORMAT)
    }
}

/// The stamp and the format in a name; `None` unless it is exactly as this file writes names.
fn parse(kind: DocumentName, name: &str) -> Option<(Stamp, u32)> {
    let (stamp, format) = name.strip_prefix(kind.as_str())?.strip_prefix('-')?.rsplit_once(".v")?;
    let (epoch, generation) = stamp.split_once('-')?;
    let stamp = Stamp { epoch: epoch.parse().ok()?, generation: generation.parse().ok()? };
    let format = format.parse().ok()?;
    (stem(kind, stamp, format) == name).then_some((stamp, format))
}

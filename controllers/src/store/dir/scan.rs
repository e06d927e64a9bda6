//! Finding out which files changed since the last look, without reading those that did not.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Directory;
use crate::store::{Key, Kind};

/// A file that changed this little ago may be in the middle of being written.
const SETTLED: Duration = Duration::from_millis(1_000);

/// What was seen of each file when it was last looked at.
#[derive(Debug, Default)]
pub struct Scan {
    seen: HashMap<PathBuf, Signature>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signature {
    inode: u64,
    length: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Scan {
    /// The keys of all files that came, went or changed since the last call. The first finds all.
    pub fn changed(&mut self, store: &Directory) -> io::Result<BTreeSet<Key>> {
        let is_first = self.seen.is_empty();
        let mut seen = HashMap::with_capacity(self.seen.len());
        let mut changed = BTreeSet::new();
        for folder in folders(store) {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let Some(key) = store.key_of(&path) else { continue };
                // Gone since the folder was read: the next scan sees that.
                let Ok(metadata) = fs::metadata(&path) else { continue };
                let signature = Signature::of(&metadata);
                match self.seen.get(&path) {
                    Some(before) if *before == signature => {}
                    Some(before) if !is_first && is_unsettled(&metadata) => {
                        seen.insert(path, *before);
                        continue;
                    }
                    _ => drop(changed.insert(key)),
                }
                seen.insert(path, signature);
            }
        }
        changed.extend(self.seen.keys().filter(|path| !seen.contains_key(*path)).filter_map(|path| store.key_of(path)));
        self.seen = seen;
        Ok(changed)
    }
}

impl Signature {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), length: metadata.len(), seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() }
    }
}

fn folders(store: &Directory) -> BTreeSet<PathBuf> {
    Kind::ALL.into_iter().map(|kind| store.folder(kind)).filter(|folder| folder.is_dir()).collect()
}

fn is_unsettled(metadata: &Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age < SETTLED)
}

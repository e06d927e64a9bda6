//! Finding out which files changed since the last look, without reading those that did not.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::Directory;
use crate::store::{Key, Kind};

/// A file that changed this little ago may be in the middle of being written.
const SETTLED: Duration = Duration::from_millis(1_000);

/// After so many files a scan lets others go on, and rests if nobody waits for it.
const FILES_AT_ONCE: usize = 128;
/// So many times as long as it looked, so that 100,000 files take a half per cent of a core, and not all of one now and then.
const REST: u32 = 199;
const REST_MAX: Duration = Duration::from_millis(250);

/// What was seen of each file when it was last looked at.
#[derive(Debug)]
pub struct Scan {
    kinds: Vec<Kind>,
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
    /// Nothing was looked at yet.
    pub fn new(kinds: &[Kind]) -> Self {
        Self { kinds: kinds.to_vec(), seen: HashMap::new() }
    }

    /// The keys of all files that came, went or changed since the last call. The first finds all. It does not
    /// rest while `hurries` is set.
    pub async fn changed(&mut self, store: &Directory, hurries: &AtomicBool) -> io::Result<BTreeSet<Key>> {
        let is_first = self.seen.is_empty();
        let mut seen = HashMap::with_capacity(self.seen.len());
        let mut changed = BTreeSet::new();
        let (mut looked, mut since) = (0_usize, Instant::now());
        for folder in folders(store, &self.kinds) {
            for entry in fs::read_dir(&folder)? {
                looked += 1;
                if looked.is_multiple_of(FILES_AT_ONCE) {
                    if hurries.load(Relaxed) {
                        yield_now().await;
                    } else {
                        sleep((since.elapsed() * REST).min(REST_MAX)).await;
                    }
                    since = Instant::now();
                }
                let path = entry?.path();
                let Some(key) = store.key_of(&path).filter(|key| self.kinds.contains(&key.kind)) else { continue };
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

/// The folders of some kinds that are there, those within a status among them.
pub(super) fn folders(store: &Directory, kinds: &[Kind]) -> BTreeSet<PathBuf> {
    let folders: BTreeSet<_> = kinds.iter().map(|kind| store.folder(*kind)).filter(|folder| folder.is_dir()).collect();
    let has_status = kinds.contains(&Kind::Status);
    let within = has_status.then(|| fs::read_dir(store.folder(Kind::Status))).into_iter().flatten().flatten().flatten();
    let within: Vec<_> = within.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.into_iter().chain(within).collect()
}

fn is_unsettled(metadata: &Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age < SETTLED)
}

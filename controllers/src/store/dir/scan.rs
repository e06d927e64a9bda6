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

#[cfg(test)]
mod tests;

/// A file that changed this little ago may be in the middle of being written.
const SETTLED: Duration = Duration::from_millis(1_000);

/// After so many files a scan lets others go on, and rests if nobody waits for it. Few, since each may cost a disk's time, and
/// whoever wants the same core waits for all of them.
const FILES_AT_ONCE: usize = 16;
/// So many times as long as it looked, which is a quarter per cent of a core, and not all of one now and then.
const REST: u32 = 399;
/// So that 100,000 files take some ten minutes, however slow the disk is. In a folder of the network, what another machine
/// changes is found by this alone.
const REST_MAX: Duration = Duration::from_millis(100);

/// What was seen of each file when it was last looked at.
#[derive(Debug)]
pub struct Scan {
    kinds: Vec<Kind>,
    seen: HashMap<PathBuf, Sight>,
    /// The keys of what changed: those of a scan that broke off are told by the next.
    changed: BTreeSet<Key>,
    round: u32,
}

/// A file as it was seen in a round.
#[derive(Debug)]
struct Sight {
    signature: Signature,
    round: u32,
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
        Self { kinds: kinds.to_vec(), seen: HashMap::new(), changed: BTreeSet::new(), round: 0 }
    }

    /// The keys of all files that came, went or changed since the last call. The first finds all. It does not
    /// rest while `hurries` is set.
    pub async fn changed(&mut self, store: &Directory, hurries: &AtomicBool) -> io::Result<BTreeSet<Key>> {
        let is_first = self.seen.is_empty();
        self.round = self.round.wrapping_add(1);
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
                let now = Sight { signature: Signature::of(&metadata), round: self.round };
                match self.seen.get_mut(&path) {
                    Some(before) if before.signature == now.signature || !is_first && is_unsettled(&metadata) => {
                        before.round = self.round;
                    }
                    Some(before) => {
                        *before = now;
                        self.changed.insert(key);
                    }
                    None => {
                        self.seen.insert(path, now);
                        self.changed.insert(key);
                    }
                }
            }
        }
        let gone = self.seen.extract_if(|_, sight| sight.round != self.round);
        self.changed.extend(gone.filter_map(|(path, _)| store.key_of(&path)));
        Ok(std::mem::take(&mut self.changed))
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

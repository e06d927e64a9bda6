//! Being told of changes in the directory by the kernel, with inotify(7).

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, Event, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, sleep_until};

use super::Directory;
use super::scan::folders;
use crate::store::follow::Pace;
use crate::store::{Key, Kind};

#[cfg(test)]
mod tests;

/// With more changed keys than this, looking at everything costs no more. The kernel keeps 16,384 events by default, and says
/// where it dropped one.
const KEYS_MAX: usize = 10_000;
/// So much is read at once: an event takes 16 bytes and the name of its file.
const BUFFER_BYTES: usize = 8 * 1024;
/// How soon it is looked for changes where the event loop has no place for us.
const AGAIN: Duration = Duration::from_secs(1);

/// A file is looked at when its writer closed it, not with every piece that is written, nor when it is read.
const OF_FILES: WatchFlags =
    WatchFlags::CLOSE_WRITE.union(WatchFlags::MOVED_FROM).union(WatchFlags::MOVED_TO).union(WatchFlags::DELETE);
const SETTLED: ReadFlags =
    ReadFlags::CLOSE_WRITE.union(ReadFlags::MOVED_FROM).union(ReadFlags::MOVED_TO).union(ReadFlags::DELETE);
const OF_FOLDERS: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF).union(WatchFlags::ONLYDIR);
const GONE: ReadFlags = ReadFlags::DELETE_SELF.union(ReadFlags::MOVE_SELF).union(ReadFlags::UNMOUNT);

/// The watched folders. Changes wait in the kernel until it is time to look at them.
pub struct Watch {
    store: Directory,
    kinds: Vec<Kind>,
    /// None where the kernel refused it.
    inotify: Option<OwnedFd>,
    /// By the number that the kernel gave each.
    folders: HashMap<i32, PathBuf>,
    pace: Pace,
    /// When to read what has arrived.
    due: Option<Instant>,
}

/// What changed since it was asked last.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pending {
    pub keys: BTreeSet<Key>,
    /// Some changes were missed: look at everything.
    pub all: bool,
}

impl Watch {
    /// Watches what can be watched. Where the kernel refuses, only the slow scan finds changes.
    pub fn new(store: &Directory, kinds: &[Kind]) -> (Self, io::Result<()>) {
        let (inotify, failed) = match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(inotify) => (Some(inotify), Ok(())),
            Err(error) => (None, Err(error.into())),
        };
        let (store, kinds) = (store.clone(), kinds.to_vec());
        let mut watch = Self { store, kinds, inotify, folders: HashMap::new(), pace: Pace::default(), due: None };
        let watched = failed.and_then(|()| watch.renew());
        (watch, watched)
    }

    /// Watches the folders again: one that was removed and made anew is another folder.
    pub fn renew(&mut self) -> io::Result<()> {
        let Some(inotify) = &self.inotify else { return Ok(()) };
        let mut watched = HashMap::new();
        for folder in folders(&self.store, &self.kinds) {
            let flags =
                if self.has_folders(&folder) { OF_FILES | OF_FOLDERS | WatchFlags::CREATE } else { OF_FILES | OF_FOLDERS };
            watched.insert(inotify::add_watch(inotify, &folder, flags)?, folder);
        }
        // What was moved away is no folder of the store any more. What was removed has no watch to be removed.
        let before = std::mem::replace(&mut self.folders, watched);
        for number in before.into_keys().filter(|number| !self.folders.contains_key(number)) {
            let _ = inotify::remove_watch(inotify, number);
        }
        Ok(())
    }

    /// Waits for changes, and for those that come with them. Nothing is lost when the wait is given up.
    pub async fn changed(&mut self) -> Pending {
        loop {
            let due = match self.due {
                Some(due) => due,
                None => {
                    self.arrived().await;
                    *self.due.insert(Instant::now() + self.pace.patience())
                }
            };
            sleep_until(due).await;
            self.due = None;
            let pending = self.read();
            if pending != Pending::default() {
                self.pace.given(pending.keys.len());
                return pending;
            }
        }
    }

    /// Waits for an event. The event loop knows of this only so long: what comes later wakes nobody.
    #[expect(
        deprecated,
        reason = "what follows it is unsafe, for descriptors that can be closed meanwhile; a borrowed one cannot"
    )]
    async fn arrived(&self) {
        let Some(inotify) = &self.inotify else { return pending().await };
        match AsyncFd::with_interest(inotify.as_fd(), Interest::READABLE) {
            Ok(events) => drop(events.readable().await),
            Err(_) => sleep(AGAIN).await,
        }
    }

    fn read(&mut self) -> Pending {
        let mut pending = Pending::default();
        let Some(inotify) = &self.inotify else { return pending };
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut events = Reader::new(inotify, &mut buffer);
        while pending.keys.len() <= KEYS_MAX {
            match events.next() {
                Ok(event) => pending.add(&self.store, &self.kinds, &self.folders, &event),
                Err(Errno::WOULDBLOCK) => return pending,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        Pending { all: true, ..Pending::default() }
    }

    /// Folders that come or go in this one are told of.
    fn has_folders(&self, folder: &Path) -> bool {
        folder == self.store.root() || folder == self.store.folder(Kind::Status)
    }
}

impl Pending {
    fn add(&mut self, store: &Directory, kinds: &[Kind], folders: &HashMap<i32, PathBuf>, event: &Event<'_>) {
        let what = event.events();
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.all = true;
        }
        let Some(folder) = folders.get(&event.wd()) else { return };
        self.all |= what.intersects(GONE);
        let Some(name) = event.file_name() else { return };
        let path = folder.join(OsStr::from_bytes(name.to_bytes()));
        if what.contains(ReadFlags::ISDIR) {
            self.all |= is_folder_of(store, kinds, &path);
        } else if what.intersects(SETTLED) {
            self.keys.extend(store.key_of(&path).filter(|key| kinds.contains(&key.kind)));
        }
    }
}

/// Whether it is a whole folder of entries.
fn is_folder_of(store: &Directory, kinds: &[Kind], path: &Path) -> bool {
    let is_within_status = kinds.contains(&Kind::Status) && path.parent() == Some(&store.folder(Kind::Status));
    is_within_status || kinds.iter().any(|kind| !kind.is_single() && store.folder(*kind) == path)
}

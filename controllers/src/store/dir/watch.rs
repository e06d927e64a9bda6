//! Being told of changes in the directory by the kernel.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::Directory;
use super::scan::folders;
use crate::store::{Key, Kind};

/// With more changed keys than this, looking at everything costs no more.
const KEYS_MAX: usize = 10_000;

/// The watched folders. Changes wait here, each key once, until they are asked for.
pub struct Watch {
    store: Directory,
    kinds: Vec<Kind>,
    watcher: Option<RecommendedWatcher>,
    changes: Arc<Changes>,
}

#[derive(Default)]
struct Changes {
    pending: Mutex<Pending>,
    arrived: Notify,
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
    pub fn new(store: &Directory, kinds: &[Kind]) -> (Self, Result<(), notify::Error>) {
        let changes = Arc::new(Changes::default());
        // The kernel's paths are absolute.
        let store = Directory::new(store.root().canonicalize().unwrap_or_else(|_| store.root().to_owned()));
        let watcher = notify::recommended_watcher({
            let (store, kinds, changes) = (store.clone(), kinds.to_vec(), Arc::clone(&changes));
            move |event: notify::Result<Event>| changes.add(&store, &kinds, event)
        });
        let (watcher, failed) = match watcher {
            Ok(watcher) => (Some(watcher), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let mut watch = Self { store, kinds: kinds.to_vec(), watcher, changes };
        let watched = failed.and_then(|()| watch.renew());
        (watch, watched)
    }

    /// Watches the folders again: one that was removed and made anew is another folder.
    pub fn renew(&mut self) -> Result<(), notify::Error> {
        let Some(watcher) = &mut self.watcher else { return Ok(()) };
        folders(&self.store, &self.kinds).iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))
    }

    /// Waits for a change. Nothing is lost when the wait is given up.
    pub async fn changed(&self) -> Pending {
        while *self.changes.pending() == Pending::default() {
            self.changes.arrived.notified().await;
        }
        std::mem::take(&mut self.changes.pending())
    }
}

impl Changes {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, store: &Directory, kinds: &[Kind], event: notify::Result<Event>) {
        let mut pending = self.pending();
        match event {
            Ok(event) if event.need_rescan() => pending.all = true,
            Ok(event) if is_settled(event.kind) => {
                let keys = event.paths.iter().filter_map(|path| store.key_of(path));
                pending.keys.extend(keys.filter(|key| kinds.contains(&key.kind)));
                pending.all |= event.paths.iter().any(|path| is_folder_of(store, kinds, path));
            }
            Ok(_) => return,
            Err(_) => pending.all = true,
        }
        if pending.keys.len() > KEYS_MAX {
            *pending = Pending { all: true, ..Pending::default() };
        }
        if *pending != Pending::default() {
            drop(pending);
            self.arrived.notify_one();
        }
    }
}

/// A file is looked at when its writer closed it, not with every piece that is written.
fn is_settled(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Create(CreateKind::Folder)
            | EventKind::Remove(_)
            | EventKind::Any
    )
}

/// Whether a whole folder of entries came or went.
fn is_folder_of(store: &Directory, kinds: &[Kind], path: &Path) -> bool {
    let is_within_status = kinds.contains(&Kind::Status) && path.parent() == Some(&store.folder(Kind::Status));
    is_within_status && path.is_dir() || kinds.iter().any(|kind| !kind.is_single() && store.folder(*kind) == path)
}

//! Following a directory: told by the kernel, looked at now and then anyway, doubted where it looks broken.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::Directory;
use super::scan::Scan;
use super::watch::Watch;
use crate::store::follow::Feed;
use crate::store::{Entry, Key, Kind, Reading, Seen, Store as _, StoreError, Text};

/// Looking at every file, in case the kernel told us of a change and we did not hear; later where one look takes longer.
const SCAN_EVERY: Duration = Duration::from_secs(10);
/// A file that is gone or broken gets a second look before that is believed: editors move files
/// away before they write them, and some write in pieces.
const SECOND_LOOK: Duration = Duration::from_millis(200);
/// How often it is asked whether a folder is back that was lost.
const FOLDER_AGAIN: Duration = Duration::from_secs(10);

struct Follower {
    store: Directory,
    kinds: Vec<Kind>,
    feed: Feed,
    /// Away while it looks.
    scan: Option<Scan>,
    /// At most one.
    scanning: JoinSet<Scanned>,
    watch: Watch,
    /// Whether the kernel tells of changes.
    is_watched: bool,
    /// It did not tell of all since the last scan began.
    has_missed: bool,
    /// Whether somebody waits for what the scan finds.
    hurries: Arc<AtomicBool>,
    /// Keys that look gone or broken, to be looked at once more.
    doubtful: BTreeSet<Key>,
    second_look_at: Option<Instant>,
}

/// The scan, and what it found.
type Scanned = (Scan, io::Result<BTreeSet<Key>>);

/// Feeds what stands in the directory, and then every change of it, for ever.
pub(super) async fn feed(store: Directory, kinds: Vec<Kind>, feed: Feed) {
    // The watch comes first, so that no change falls between the scan and the watch.
    let (watch, watching) = Watch::new(&store, &kinds);
    if let Err(error) = &watching {
        let seconds = SCAN_EVERY.as_secs();
        warn!("changes are found by looking every {seconds} s only; the kernel does not tell of them: {error}");
    }
    let mut follower = Follower {
        scan: Some(Scan::new(&kinds)),
        scanning: JoinSet::new(),
        store,
        kinds,
        feed,
        watch,
        is_watched: watching.is_ok(),
        has_missed: true,
        hurries: Arc::default(),
        doubtful: BTreeSet::new(),
        second_look_at: None,
    };
    follower.look_at_first().await;
    let mut scan_at = Instant::now() + SCAN_EVERY;
    loop {
        tokio::select! {
            pending = follower.watch.changed() => {
                if pending.all {
                    follower.missed();
                    scan_at = Instant::now();
                }
                follower.look(pending.keys);
            }
            () = at(follower.second_look_at) => follower.look_again(),
            () = sleep_until(scan_at), if follower.scanning.is_empty() => {
                scan_at = Instant::now() + SCAN_EVERY;
                follower.look_at_all();
            }
            Some(scanned) = follower.scanning.join_next() => follower.scanned(scanned.ok()),
        }
    }
}

impl Follower {
    async fn look_at_first(&mut self) {
        self.begin_to_look();
        let Some(scan) = &mut self.scan else { return };
        match scan.changed(&self.store, &self.hurries).await {
            Ok(keys) => {
                let entries = self.store.see_all(keys);
                self.feed.replace(Reading { entries, revision: 0 });
            }
            Err(error) => self.feed.trouble(StoreError::io(self.store.place(), &error)),
        }
    }

    /// Begins to look at every file. That takes a while where they are 100,000, and no change waits for it.
    fn look_at_all(&mut self) {
        // Folders that were made anew are watched again; those that are gone are named by the scan.
        let _ = self.watch.renew();
        self.begin_to_look();
        let mut scan = self.scan.take().unwrap_or_else(|| Scan::new(&self.kinds));
        let (store, hurries) = (self.store.clone(), Arc::clone(&self.hurries));
        self.scanning.spawn(async move {
            let found = scan.changed(&store, &hurries).await;
            (scan, found)
        });
    }

    fn begin_to_look(&mut self) {
        let has_missed = std::mem::take(&mut self.has_missed);
        self.hurries.store(has_missed || !self.is_watched, Relaxed);
    }

    /// Changes are waiting that the kernel did not tell of: the scan that runs ends soon, and so does the next.
    fn missed(&mut self) {
        self.has_missed = true;
        self.hurries.store(true, Relaxed);
    }

    fn scanned(&mut self, scanned: Option<Scanned>) {
        // A scan that broke is made anew, and finds all.
        let Some((scan, found)) = scanned else { return };
        self.scan = Some(scan);
        match found {
            Ok(keys) => self.look(keys),
            Err(error) => self.feed.trouble(StoreError::io(self.store.place(), &error)),
        }
    }

    /// Looks at some keys, and puts off what is gone or broken.
    fn look(&mut self, keys: BTreeSet<Key>) {
        let mut clear = Vec::new();
        for key in keys {
            match read_clear(&key, self.store.see(&key)) {
                Some(seen) => clear.push((key, seen)),
                None => {
                    self.doubtful.insert(key);
                    self.second_look_at = Some(Instant::now() + SECOND_LOOK);
                }
            }
        }
        self.tell(clear);
    }

    /// Looks at what was doubtful, and believes what is found.
    fn look_again(&mut self) {
        self.second_look_at = None;
        let doubtful = std::mem::take(&mut self.doubtful);
        let seen = doubtful.into_iter().map(|key| (key.clone(), self.store.see(&key)));
        let (gone, mut seen): (Vec<_>, Vec<_>) = seen.partition(|(_, seen)| matches!(seen, Seen::Nothing));
        if gone.is_empty() || self.store.is_whole(&self.kinds) {
            seen.extend(gone);
        } else {
            // A folder that is gone says nothing about what was in it: asked again once it is back.
            let root = self.store.place();
            warn!("a folder of the store {root} is gone; what was in it goes on, until the folder is there again");
            self.doubtful.extend(gone.into_iter().map(|(key, _)| key));
            self.second_look_at = Some(Instant::now() + FOLDER_AGAIN);
        }
        self.tell(seen);
    }

    fn tell(&self, seen: Vec<(Key, Seen)>) {
        if !seen.is_empty() {
            self.feed.add(seen, 0);
        }
    }
}

/// What was seen with what it says, if that is surely what somebody meant to write.
fn read_clear(key: &Key, seen: Seen) -> Option<Seen> {
    let Seen::Text(text) = seen else { return None };
    let entry = Entry::read(key, &text.file, text.text.clone()).ok()?;
    Some(Seen::Text(Text { entry: Some(Arc::new(entry)), ..text }))
}

async fn at(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}

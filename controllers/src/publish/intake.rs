//! The store as it comes in: watched, looked at, doubted where it looks broken, and taken into the catalog.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::catalog::Catalog;
use crate::store::dir::scan::Scan;
use crate::store::dir::watch::Watch;
use crate::store::{Directory, Found, Key};

/// Looking at every file, in case the kernel told us of a change and we did not hear.
const SCAN_EVERY: Duration = Duration::from_secs(10);
/// A file that is gone or broken gets a second look before that is believed: editors move files
/// away before they write them, and some write in pieces.
const SECOND_LOOK: Duration = Duration::from_millis(200);

pub struct Intake {
    store: Directory,
    catalog: Catalog,
    scan: Scan,
    watch: Watch,
    scan_at: Instant,
    /// Keys that look gone or broken, to be looked at once more.
    doubtful: BTreeSet<Key>,
    second_look_at: Option<Instant>,
}

impl Intake {
    /// Reads the whole store on top of what is remembered of it. True if anything changed since then.
    pub fn open(store: Directory) -> io::Result<(Self, bool)> {
        store.make_folders()?;
        // The watch comes first, so that no change falls between the scan and the watch.
        let (watch, watching) = Watch::new(&store);
        if let Err(error) = watching {
            let seconds = SCAN_EVERY.as_secs();
            warn!("changes are found by looking every {seconds} s only; the kernel does not tell of them: {error}");
        }
        let mut scan = Scan::default();
        let catalog = Catalog::remembering(store.remembered());
        let mut keys = scan.changed(&store)?;
        keys.extend(catalog.keys().cloned());
        let scan_at = Instant::now() + SCAN_EVERY;
        let mut intake = Self { store, catalog, scan, watch, scan_at, doubtful: BTreeSet::new(), second_look_at: None };
        let changed = intake.take_in(keys);
        Ok((intake, changed))
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub fn store(&self) -> &Directory {
        &self.store
    }

    /// Waits until something may have changed, and takes it in. True if anything in use changed.
    /// Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> bool {
        let expiry_at = self.expiry_at();
        tokio::select! {
            pending = self.watch.changed() => {
                if pending.all {
                    self.scan_at = Instant::now();
                }
                self.look(pending.keys)
            }
            () = at(self.second_look_at) => {
                self.second_look_at = None;
                let doubtful = std::mem::take(&mut self.doubtful);
                self.take_in(doubtful)
            }
            () = sleep_until(self.scan_at) => {
                self.scan_at = Instant::now() + SCAN_EVERY;
                self.look_at_all()
            }
            () = at(expiry_at) => self.take_in(BTreeSet::new()),
        }
    }

    fn look_at_all(&mut self) -> bool {
        // Folders that were made anew are watched again; those that are gone are named by the scan.
        let _ = self.watch.renew();
        match self.scan.changed(&self.store) {
            Ok(keys) => self.look(keys),
            Err(error) => {
                warn!("the store cannot be read: {error}");
                false
            }
        }
    }

    /// Looks at some keys, and puts off what is gone or broken.
    fn look(&mut self, keys: BTreeSet<Key>) -> bool {
        let looked = keys.into_iter().map(|key| (key.clone(), self.store.look(&key)));
        let (clear, doubtful): (Vec<_>, Vec<_>) = looked.partition(|(_, found)| matches!(found, Found::Entry(_)));
        if !doubtful.is_empty() {
            self.doubtful.extend(doubtful.into_iter().map(|(key, _)| key));
            self.second_look_at = Some(Instant::now() + SECOND_LOOK);
        }
        self.update(clear)
    }

    /// Looks at some keys, and believes what is found.
    fn take_in(&mut self, keys: BTreeSet<Key>) -> bool {
        let mut looked: Vec<_> = keys.into_iter().map(|key| (key.clone(), self.store.look(&key))).collect();
        let is_gone = |(_, found): &(Key, Found)| matches!(found, Found::Nothing);
        // A folder that is gone says nothing about what was in it.
        if looked.iter().any(is_gone) && !self.store.is_whole() {
            let root = self.store.root().display();
            warn!("a folder of the store {root} is gone; what was in it goes on, until the folder is there again");
            looked.retain(|looked| !is_gone(looked));
        }
        self.update(looked)
    }

    fn update(&mut self, looked: Vec<(Key, Found)>) -> bool {
        let before = self.catalog.mistakes().clone();
        let accepted = self.catalog.update(looked, Timestamp::now());
        for (key, mistakes) in self.catalog.mistakes() {
            if before.get(key).is_none_or(|before| before.to_string() != mistakes.to_string()) {
                warn!("what was good before goes on\n{mistakes}");
            }
        }
        for key in before.keys().filter(|key| !self.catalog.mistakes().contains_key(key)) {
            info!("{key} is well again");
        }
        if let Err(error) = self.store.remember(&accepted) {
            warn!("what is good now could not be remembered for the next start: {error}");
        }
        !accepted.is_empty()
    }

    fn expiry_at(&self) -> Option<Instant> {
        let left = self.catalog.next_expiry()?.duration_since(Timestamp::now());
        Some(Instant::now() + Duration::try_from(left).unwrap_or(Duration::ZERO))
    }
}

/// Waits until then; for ever, if there is no such time.
pub async fn at(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}

//! The store as it comes in: followed, read, and taken into the catalog.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::memory::Memory;
use crate::catalog::Catalog;
use crate::store::{Entry, Follow, Found, Key, Kind, News, Remembered, Store, StoreError};

pub struct Intake {
    follow: Follow,
    catalog: Catalog,
    /// What was good before this start, until it is known what stands there now.
    remembered: Vec<(Key, Remembered)>,
    memory: Memory,
    /// The revision of the store that the catalog stands at.
    revision: u64,
}

/// What became other by what came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Something that is in use.
    pub content: bool,
    /// Something secret that is in use.
    pub secrets: bool,
    pub mistakes: bool,
}

impl Taken {
    pub fn add(&mut self, other: Self) {
        self.content |= other.content;
        self.secrets |= other.secrets;
        self.mistakes |= other.mistakes;
    }
}

impl Intake {
    /// Follows a store, on top of what is remembered of it. Nothing of it was read yet.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let remembered = store.remembered();
        let follow = store.follow(&Kind::PUBLISHED).await?;
        Ok(Self { follow, catalog: Catalog::default(), remembered, memory: Memory::of(store), revision: 0 })
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Waits until something may have changed, and takes it in. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> Result<Taken, StoreError> {
        let expiry_at = self.expiry_at();
        loop {
            tokio::select! {
                news = self.follow.next() => {
                    let News { all, seen, revision } = news?;
                    self.revision = self.revision.max(revision);
                    let mut looked = Found::read_all(seen);
                    self.remember(&looked);
                    if all {
                        self.revision = revision;
                        looked.extend(gone(&self.catalog, &looked));
                    }
                    return Ok(self.update(looked));
                }
                () = at(expiry_at) => return Ok(self.update(Vec::new())),
                () = self.memory.written() => {}
            }
        }
    }

    /// Waits until a change of a few entries is remembered, so that what is live is good after a restart too.
    pub async fn finish_a_few(&mut self) {
        self.memory.finish_a_few().await;
    }

    /// Waits until all that is good now is remembered.
    pub async fn finish(&mut self) {
        self.memory.finish().await;
    }

    /// Begins the catalog with what was good before this start.
    fn remember(&mut self, found: &[(Key, Found)]) {
        let remembered = std::mem::take(&mut self.remembered);
        if !remembered.is_empty() {
            self.catalog = Catalog::remembering(remembered_entries(remembered, found));
        }
    }

    fn update(&mut self, looked: Vec<(Key, Found)>) -> Taken {
        let before = self.catalog.mistakes().clone();
        let accepted = self.catalog.update(looked, Timestamp::now());
        let secrets = accepted.keys().any(|key| key.kind.is_secret());
        let mut taken = Taken { content: !accepted.is_empty(), secrets, mistakes: false };
        for (key, mistakes) in self.catalog.mistakes() {
            if before.get(key).is_none_or(|before| before.to_string() != mistakes.to_string()) {
                warn!("what was good before goes on\n{mistakes}");
                taken.mistakes = true;
            }
        }
        for key in before.keys().filter(|key| !self.catalog.mistakes().contains_key(key)) {
            info!("{key} is well again");
            taken.mistakes = true;
        }
        self.memory.add(accepted);
        taken
    }

    fn expiry_at(&self) -> Option<Instant> {
        let left = self.catalog.next_expiry()?.duration_since(Timestamp::now());
        Some(Instant::now() + Duration::try_from(left).unwrap_or(Duration::ZERO))
    }
}

/// A whole store as a publisher of it would take it in: what is broken there goes on as it was good last. `found` is sorted.
pub fn take_in(store: &dyn Store, mut found: Vec<(Key, Found)>, now: Timestamp) -> Catalog {
    let mut catalog = Catalog::remembering(remembered_entries(store.remembered(), &found));
    found.extend(gone(&catalog, &found));
    catalog.update(found, now);
    catalog
}

/// What the catalog knows and the store has no more, by what was found in all of it.
fn gone(catalog: &Catalog, found: &[(Key, Found)]) -> Vec<(Key, Found)> {
    let is_there = |key: &&Key| found.binary_search_by(|(other, _)| other.cmp(key)).is_ok();
    catalog.keys().filter(|key| !is_there(key)).map(|key| (key.clone(), Found::Nothing)).collect()
}

/// What was remembered, read. Most of it stands in the store as it was, and is not read twice.
fn remembered_entries(remembered: Vec<(Key, Remembered)>, found: &[(Key, Found)]) -> Vec<(Key, Arc<Entry>)> {
    let stands = |key: &Key| found.binary_search_by(|(other, _)| other.cmp(key)).ok().and_then(|at| found.get(at)?.1.entry());
    let entries = remembered.into_iter().filter_map(|(key, Remembered { file, text })| {
        let same = stands(&key).filter(|entry| entry.file == file && entry.text == text).cloned();
        // What another release remembered and this one cannot read is no loss: the file itself is still there.
        let entry = same.or_else(|| Entry::read(&key, &file, text).ok().map(Arc::new))?;
        Some((key, entry))
    });
    entries.collect()
}

/// Waits until then; for ever, if there is no such time.
pub async fn at(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}

//! The store as it comes in: followed, read, and taken into the catalog.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::catalog::Catalog;
use crate::store::{Follow, Found, Key, Kind, News, Store, StoreError};

pub struct Intake {
    store: Arc<dyn Store>,
    follow: Follow,
    catalog: Catalog,
    /// The revision of the store that the catalog stands at.
    revision: u64,
}

/// What became other by what came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Something that is in use.
    pub content: bool,
    /// Something secret that is in use.
    pub secrets: bool,
    pub mistakes: bool,
}

impl Intake {
    /// Follows a store, on top of what is remembered of it. Nothing of it was read yet.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let catalog = Catalog::remembering(store.remembered());
        Ok(Self { follow: store.follow(&Kind::PUBLISHED).await?, store, catalog, revision: 0 })
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
        tokio::select! {
            news = self.follow.next() => {
                let News { all, seen, revision } = news?;
                self.revision = self.revision.max(revision);
                let mut looked: Vec<_> = seen.into_iter().map(|(key, seen)| (key.clone(), Found::read(&key, seen))).collect();
                if all {
                    self.revision = revision;
                    looked.extend(self.gone(&looked));
                }
                Ok(self.update(looked))
            }
            () = at(expiry_at) => Ok(self.update(Vec::new())),
        }
    }

    /// What the catalog knows and the store has no more, by what was found in all of it.
    fn gone(&self, found: &[(Key, Found)]) -> Vec<(Key, Found)> {
        let is_there = |key: &&Key| found.binary_search_by(|(other, _)| other.cmp(key)).is_ok();
        self.catalog.keys().filter(|key| !is_there(key)).map(|key| (key.clone(), Found::Nothing)).collect()
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
        if let Err(error) = self.store.remember(&accepted) {
            warn!("what is good now could not be remembered for the next start: {error}");
        }
        taken
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

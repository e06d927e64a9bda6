//! Remembering what is in use for the next start; what is a whole store, while it is being published.

use std::collections::btree_map::Entry;
use std::future::pending;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tracing::warn;

use crate::catalog::Accepted;
use crate::store::Store;

/// So many copies are written before anybody could wait for them.
const A_FEW: usize = 1_000;

/// Writes one batch at a time; what comes meanwhile is the next one, each entry once.
pub struct Memory {
    store: Arc<dyn Store>,
    waiting: Accepted,
    /// And how many entries that are.
    writing: Option<(JoinHandle<()>, usize)>,
}

impl Memory {
    pub fn of(store: Arc<dyn Store>) -> Self {
        Self { store, waiting: Accepted::new(), writing: None }
    }

    pub fn add(&mut self, accepted: Accepted) {
        for (key, turn) in accepted {
            match self.waiting.entry(key) {
                Entry::Vacant(place) => drop(place.insert(turn)),
                Entry::Occupied(mut waiting) => waiting.get_mut().now = turn.now,
            }
        }
        self.write();
    }

    /// Waits for the end of a batch, if one is being written; else for ever.
    pub async fn written(&mut self) {
        match &mut self.writing {
            // One that broke off was told of by whoever saw it break.
            Some((writing, _)) => drop(writing.await),
            None => pending().await,
        }
        self.writing = None;
        self.write();
    }

    /// Waits until nothing is left to be written.
    pub async fn finish(&mut self) {
        while self.writing.is_some() {
            self.written().await;
        }
    }

    /// The same, unless it is a whole store: no route waits for that.
    pub async fn finish_a_few(&mut self) {
        while self.writing.as_ref().is_some_and(|(_, entries)| *entries <= A_FEW) {
            self.written().await;
        }
    }

    fn write(&mut self) {
        if self.writing.is_some() || self.waiting.is_empty() {
            return;
        }
        let (store, accepted) = (Arc::clone(&self.store), std::mem::take(&mut self.waiting));
        let entries = accepted.len();
        let writing = tokio::task::spawn_blocking(move || {
            if let Err(error) = store.remember(&accepted) {
                warn!("what is good now could not be remembered for the next start: {error}");
            }
        });
        self.writing = Some((writing, entries));
    }
}

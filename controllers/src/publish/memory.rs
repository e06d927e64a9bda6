//! Remembering what is in use for the next start, and what people edited; what is a whole store, while it is being published.

use std::collections::btree_map::Entry;
use std::future::pending;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tracing::warn;

use crate::catalog::Accepted;
use crate::store::{Store, StoreError};

/// So many copies are written before anybody could wait for them.
const A_FEW: usize = 1_000;

/// What is written down of what came into use.
pub struct Memory {
    good: Lane,
    /// Nobody waits for these.
    edits: Lane,
}

/// Writes one batch at a time; what comes meanwhile is the next one, each entry once.
struct Lane {
    store: Arc<dyn Store>,
    write: fn(&dyn Store, &Accepted) -> Result<(), StoreError>,
    /// What is said where that fails.
    failed: &'static str,
    waiting: Accepted,
    /// And how many entries that are.
    writing: Option<(JoinHandle<()>, usize)>,
}

impl Memory {
    pub fn of(store: Arc<dyn Store>) -> Self {
        let lane = |write, failed| Lane { store: Arc::clone(&store), write, failed, waiting: Accepted::new(), writing: None };
        Self {
            good: lane(|store, accepted| store.remember(accepted), "what is good now could not be remembered for the next start"),
            edits: lane(|store, accepted| store.note_edits(accepted), "what was edited is missing in the history"),
        }
    }

    pub fn add(&mut self, accepted: Accepted) {
        self.edits.add(accepted.clone());
        self.good.add(accepted);
    }

    /// Waits for the end of a batch, if one is being written; else for ever.
    pub async fn written(&mut self) {
        tokio::select! {
            () = self.good.written() => {}
            () = self.edits.written() => {}
        }
    }

    /// Waits until nothing is left to be written.
    pub async fn finish(&mut self) {
        self.good.finish().await;
        self.edits.finish().await;
    }

    /// Waits until what is good is remembered, unless it is a whole store: no route waits for that.
    pub async fn finish_a_few(&mut self) {
        while self.good.writing.as_ref().is_some_and(|(_, entries)| *entries <= A_FEW) {
            self.good.written().await;
        }
    }
}

impl Lane {
    fn add(&mut self, accepted: Accepted) {
        for (key, turn) in accepted {
            match self.waiting.entry(key) {
                Entry::Vacant(place) => drop(place.insert(turn)),
                Entry::Occupied(mut waiting) => waiting.get_mut().now = turn.now,
            }
        }
        self.write();
    }

    async fn written(&mut self) {
        match &mut self.writing {
            // One that broke off was told of by whoever saw it break.
            Some((writing, _)) => drop(writing.await),
            None => pending().await,
        }
        self.writing = None;
        self.write();
    }

    async fn finish(&mut self) {
        while self.writing.is_some() {
            self.written().await;
        }
    }

    fn write(&mut self) {
        if self.writing.is_some() || self.waiting.is_empty() {
            return;
        }
        let (store, accepted) = (Arc::clone(&self.store), std::mem::take(&mut self.waiting));
        let (entries, write, failed) = (accepted.len(), self.write, self.failed);
        let writing = tokio::task::spawn_blocking(move || {
            if let Err(error) = write(store.as_ref(), &accepted) {
                warn!("{failed}: {error}");
            }
        });
        self.writing = Some((writing, entries));
    }
}

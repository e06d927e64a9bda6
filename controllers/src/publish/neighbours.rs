//! The edges that serve what this store says, as their publishers report them: how many share what an instance takes.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use karman_contract::edges::Edges;
use tokio::time::Instant;

use crate::store::{Key, Kind, Reading, Store, StoreError};

/// An edge whose entry stays as it is for so long is not there any more; each is written anew within 50 s.
/// Its clients' new sockets are admitted slower than they could be until then, not faster.
const SILENT_MAX: Duration = Duration::from_secs(90);

/// The entries of the edges, each with when it was first seen to be so: by our clock, as theirs may be wrong.
#[derive(Debug, Default)]
pub struct Neighbours {
    seen: BTreeMap<Key, (String, Instant)>,
}

impl Neighbours {
    /// Looks into the store.
    pub async fn look(&mut self, store: &dyn Store) -> Result<Edges, StoreError> {
        let Reading { entries, .. } = store.read(&[Kind::Edge]).await?;
        let texts = entries.into_iter().filter_map(|(key, seen)| Some((key, seen.text()?.text.clone())));
        Ok(self.count(texts.collect(), Instant::now()))
    }

    fn count(&mut self, found: BTreeMap<Key, String>, now: Instant) -> Edges {
        self.seen.retain(|key, _| found.contains_key(key));
        for (key, text) in found {
            match self.seen.get(&key) {
                Some((before, _)) if *before == text => {}
                _ => drop(self.seen.insert(key, (text, now))),
            }
        }
        let alive = self.seen.values().filter(|(_, since)| now.duration_since(*since) < SILENT_MAX).count();
        Edges { serving: u32::try_from(alive).unwrap_or(Edges::MAX).clamp(1, Edges::MAX) }
    }
}

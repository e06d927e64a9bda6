//! A map that is cheap to copy with a few changes, however large it is.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

/// Chosen so that a table of 100,000 entries copies about a hundred of them for one change.
const SHARDS: usize = 1024;

/// A hash map in shards. A clone shares all of them; a change copies only the shard it touches, so
/// that the next table can be built beside the one that requests are reading.
#[derive(Clone, Debug)]
pub struct Shards<K, V> {
    shards: Vec<Arc<HashMap<K, V>>>,
    hasher: RandomState,
    len: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Shards<K, V> {
    pub fn new() -> Self {
        let empty = Arc::new(HashMap::new());
        Self { shards: vec![empty; SHARDS], hasher: RandomState::new(), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards.get(self.shard(key))?.get(key)
    }

    /// The value with the key as it stands in the map.
    pub fn entry<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.shards.get(self.shard(key))?.get_key_value(key)
    }

    /// Returns what stood there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let shard = self.shard(&key);
        let before = Arc::make_mut(self.shards.get_mut(shard)?).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let shard = self.shard(key);
        // A look first: a miss must not copy the shard.
        if !self.shards.get(shard)?.contains_key(key) {
            return None;
        }
        let before = Arc::make_mut(self.shards.get_mut(shard)?).remove(key);
        self.len -= usize::from(before.is_some());
        before
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        // Truncation is meant: any bits of the hash will do.
        self.hasher.hash_one(key) as usize % SHARDS
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Default for Shards<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

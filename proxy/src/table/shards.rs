//! A map that is cheap to copy with a few changes, however large it is.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

/// Groups, and shards in each: chosen so that in a table of 100,000 entries one change copies a few dozen of them, and
/// the lists of its group and of all groups.
const WIDTH: usize = 64;

/// A hash map in groups of shards. A clone shares all of them; a change copies only the shard it touches, and the list
/// that it stands in, so that the next table can be built beside the one that requests are reading.
#[derive(Clone, Debug)]
pub struct Shards<K, V> {
    groups: Vec<Arc<Group<K, V>>>,
    hasher: RandomState,
    len: usize,
}

type Group<K, V> = Vec<Arc<HashMap<K, V>>>;

impl<K: Eq + Hash + Clone, V: Clone> Shards<K, V> {
    pub fn new() -> Self {
        let empty = Arc::new(vec![Arc::default(); WIDTH]);
        Self { groups: vec![empty; WIDTH], hasher: RandomState::new(), len: 0 }
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
        self.shard(key)?.get(key)
    }

    /// The value with the key as it stands in the map.
    pub fn entry<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.shard(key)?.get_key_value(key)
    }

    /// Returns what stood there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.shard_mut(&key)?.insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        // A look first: a miss must not copy the shard.
        if !self.shard(key)?.contains_key(key) {
            return None;
        }
        let before = self.shard_mut(key)?.remove(key);
        self.len -= usize::from(before.is_some());
        before
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.groups.iter().flat_map(|group| group.iter()).flat_map(|shard| shard.iter())
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> Option<&HashMap<K, V>> {
        let (group, shard) = self.place(key);
        Some(self.groups.get(group)?.get(shard)?)
    }

    /// The shard, for this map alone.
    fn shard_mut<Q: Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut HashMap<K, V>> {
        let (group, shard) = self.place(key);
        let group = Arc::make_mut(self.groups.get_mut(group)?);
        Some(Arc::make_mut(group.get_mut(shard)?))
    }

    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> (usize, usize) {
        // Truncation is meant: any bits of the hash will do.
        let hash = self.hasher.hash_one(key) as usize;
        (hash / WIDTH % WIDTH, hash % WIDTH)
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Default for Shards<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

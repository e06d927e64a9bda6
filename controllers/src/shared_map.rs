//! A map in the order of its keys that is cheap to copy, to change, and to compare with what it was, however large it is.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::mem::replace;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Chosen so that a change of 100,000 entries copies a few hundred of them, and a list of as many chunks.
const CHUNK_ENTRIES_MAX: usize = 256;

/// Entries in chunks, none of them empty. A clone shares all chunks, and a change copies the one that it falls
/// into; so two maps of which one was made from the other are compared by the chunks that they do not share.
#[derive(Debug)]
pub struct SharedMap<K, V> {
    chunks: Arc<Vec<Arc<Chunk<K, V>>>>,
    len: usize,
}

type Chunk<K, V> = Vec<(K, Arc<V>)>;

/// An entry before and after a change of the map.
#[derive(Debug)]
pub struct Changed<'a, K, V> {
    pub key: &'a K,
    pub before: Option<&'a Arc<V>>,
    pub after: Option<&'a Arc<V>>,
}

impl<K: Ord + Clone, V> SharedMap<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The value with the key as it stands in the map.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &Arc<V>)>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        chunk.get(place_in(chunk, key).ok()?).map(|(key, value)| (key, value))
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Returns what stood there before.
    pub fn insert(&mut self, key: K, value: Arc<V>) -> Option<Arc<V>> {
        let at = self.chunk_of(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(at).map(Arc::make_mut) else {
            chunks.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return None;
        };
        match place_in(chunk, &key) {
            Ok(place) => chunk.get_mut(place).map(|(_, before)| replace(before, value)),
            Err(place) => {
                chunk.insert(place, (key, value));
                if chunk.len() > CHUNK_ENTRIES_MAX {
                    let upper = chunk.split_off(CHUNK_ENTRIES_MAX / 2);
                    chunks.insert(at + 1, Arc::new(upper));
                }
                self.len += 1;
                None
            }
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key);
        // A look first: a miss must not copy anything.
        let place = place_in(self.chunks.get(at)?, key).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(chunks.get_mut(at)?);
        let (_, before) = chunk.remove(place);
        if chunk.is_empty() {
            chunks.remove(at);
        }
        self.len -= 1;
        Some(before)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &Arc<V>)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &Arc<V>> {
        self.iter().map(|(_, value)| value)
    }

    /// The entries that `next` has otherwise than this map, in the order of their keys.
    pub fn changes<'a>(&'a self, next: &'a Self) -> Changes<'a, K, V>
    where
        V: PartialEq,
    {
        Changes { before: Walk::start(self), after: Walk::start(next) }
    }

    /// The chunk that a key stands in, or would stand in.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let begins_below = |chunk: &Arc<Chunk<K, V>>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
        self.chunks.partition_point(begins_below).saturating_sub(1)
    }
}

fn place_in<K: Borrow<Q>, V, Q: Ord + ?Sized>(chunk: &Chunk<K, V>, key: &Q) -> Result<usize, usize> {
    chunk.binary_search_by(|(other, _)| other.borrow().cmp(key))
}

/// What [`SharedMap::changes`] finds, as it finds it.
pub struct Changes<'a, K, V> {
    before: Walk<'a, K, V>,
    after: Walk<'a, K, V>,
}

/// A place in a map.
struct Walk<'a, K, V> {
    /// From the chunk that the place is in.
    chunks: &'a [Arc<Chunk<K, V>>],
    place: usize,
}

impl<'a, K: Ord, V: PartialEq> Iterator for Changes<'a, K, V> {
    type Item = Changed<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let (Some(before), Some(after)) = (self.before.whole_chunk(), self.after.whole_chunk())
                && Arc::ptr_eq(before, after)
            {
                self.before.skip_chunk();
                self.after.skip_chunk();
                continue;
            }
            let order = match (self.before.entry(), self.after.entry()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((before, _)), Some((after, _))) => before.cmp(after),
            };
            let before = if order == Ordering::Greater { None } else { self.before.step() };
            let after = if order == Ordering::Less { None } else { self.after.step() };
            let (key, _) = after.or(before)?;
            let (before, after) = (before.map(|(_, value)| value), after.map(|(_, value)| value));
            // The address tells most of the unchanged from the changed.
            let is_same = before.zip(after).is_some_and(|(before, after)| Arc::ptr_eq(before, after) || before == after);
            if !is_same {
                return Some(Changed { key, before, after });
            }
        }
    }
}

impl<'a, K, V> Walk<'a, K, V> {
    fn start(map: &'a SharedMap<K, V>) -> Self {
        Self { chunks: &map.chunks, place: 0 }
    }

    /// The chunk that begins here, if one does.
    fn whole_chunk(&self) -> Option<&'a Arc<Chunk<K, V>>> {
        self.chunks.first().filter(|_| self.place == 0)
    }

    fn skip_chunk(&mut self) {
        self.chunks = self.chunks.get(1..).unwrap_or_default();
        self.place = 0;
    }

    fn entry(&self) -> Option<&'a (K, Arc<V>)> {
        self.chunks.first()?.get(self.place)
    }

    /// The entry here, which is passed.
    fn step(&mut self) -> Option<&'a (K, Arc<V>)> {
        let entry = self.entry();
        self.place += 1;
        if self.entry().is_none() {
            self.skip_chunk();
        }
        entry
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks), len: self.len }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

impl<K: Ord + Clone, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.changes(other).next().is_none()
    }
}

impl<K: Ord + Clone, V> Extend<(K, Arc<V>)> for SharedMap<K, V> {
    fn extend<T: IntoIterator<Item = (K, Arc<V>)>>(&mut self, entries: T) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord + Clone, V> FromIterator<(K, Arc<V>)> for SharedMap<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, Arc<V>)>>(entries: T) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

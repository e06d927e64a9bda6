//! A shared map is a `BTreeMap` to whoever looks, after any changes, and says what they were.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use proptest::prop_assert_eq;

use super::{CHUNK_ENTRIES_MAX, SharedMap};

type Model = BTreeMap<u16, u8>;

/// What is done to a map: `None` removes.
fn edits(most: usize) -> impl Strategy<Value = Vec<(u16, Option<u8>)>> {
    vec((0..2_000_u16, any::<Option<u8>>()), 0..most)
}

fn apply(edits: &[(u16, Option<u8>)], map: &mut SharedMap<u16, u8>, model: &mut Model) {
    for (key, value) in edits {
        let (found, wanted) = match value {
            Some(value) => (map.insert(*key, Arc::new(*value)), model.insert(*key, *value)),
            None => (map.remove(key), model.remove(key)),
        };
        assert_eq!(found.as_deref(), wanted.as_ref());
    }
}

fn entries(map: &SharedMap<u16, u8>) -> Vec<(u16, u8)> {
    map.iter().map(|(key, value)| (*key, **value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn it_is_a_map_and_tells_what_became_of_it(first in edits(4_000), then in edits(60)) {
        let (mut before, mut model) = (SharedMap::default(), Model::new());
        apply(&first, &mut before, &mut model);
        prop_assert_eq!(entries(&before), model.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(before.len(), model.len());

        let (mut after, was) = (before.clone(), model.clone());
        apply(&then, &mut after, &mut model);
        prop_assert_eq!(entries(&before), was.clone().into_iter().collect::<Vec<_>>(), "a clone changes nothing");
        prop_assert_eq!(before == after, was == model);

        let found: Vec<_> = before
            .changes(&after)
            .map(|changed| (*changed.key, changed.before.map(|value| **value), changed.after.map(|value| **value)))
            .collect();
        let keys = was.keys().chain(model.keys().filter(|key| !was.contains_key(key)));
        let mut wanted: Vec<_> = keys.map(|key| (*key, was.get(key).copied(), model.get(key).copied())).collect();
        wanted.retain(|(_, before, after)| before != after);
        wanted.sort_unstable();
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn a_change_copies_one_chunk_and_leaves_the_others_shared() {
    let before: SharedMap<u32, u32> = (0..100_000).map(|n| (n * 2, Arc::new(n))).collect();
    for (change, copied) in [(1_000, 1), (1_001, 1), (0, 1), (300_000, 1)] {
        let mut after = before.clone();
        after.insert(change, Arc::new(7));
        let shared = |chunk: &Arc<_>| before.chunks.iter().any(|other| Arc::ptr_eq(other, chunk));
        assert_eq!(after.chunks.iter().filter(|chunk| !shared(chunk)).count(), copied, "{change}");
        assert_eq!(before.changes(&after).map(|changed| *changed.key).collect::<Vec<_>>(), [change]);
    }
    assert!(before.chunks.iter().all(|chunk| (1..=CHUNK_ENTRIES_MAX).contains(&chunk.len())));
}

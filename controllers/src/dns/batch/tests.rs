//! Batches never go over a limit, and hold every group once.

use proptest::prelude::*;

use super::*;
use crate::dns::plan::owner::Owner;
use crate::dns::plan::{Policy, Terms, plan};
use crate::dns::record::{Name, RecordType, SetKey};

/// A group for each length: a TXT record of so many values of ten characters, and its mark.
fn groups(lengths: &[usize]) -> Vec<Group> {
    let records: Vec<_> = lengths
        .iter()
        .enumerate()
        .map(|(n, length)| {
            let key = SetKey { name: Name::of_service(&format!("n{n:04}.example.com")), kind: RecordType::Txt };
            Record::values(key, 60, (0..*length).map(|value| format!("\"{value:08}\"").into()))
        })
        .collect();
    let owner: Owner = "karman".parse().unwrap();
    let terms = Terms { zone: Name::of_service("example.com"), owner, policy: Policy::Sync, adopt: false };
    plan(&records, &[], &terms).unwrap().groups
}

#[test]
fn an_upsert_counts_double() {
    let record = groups(&[3]).remove(0).changes.remove(0).record().clone();
    let cost = |change| Cost::of(&change);
    assert_eq!(cost(Change::Create(record.clone())), Cost { values: 3, characters: 30, tokens: 1 });
    assert_eq!(cost(Change::Delete(record.clone())), Cost { values: 3, characters: 30, tokens: 1 });
    assert_eq!(cost(Change::Upsert(record)), Cost { values: 6, characters: 60, tokens: 2 });
}

#[test]
fn what_fits_nowhere_is_set_aside_and_what_failed_before_goes_alone() {
    let groups = groups(&[1, 1_001, 2, 3, 400]);
    let failed = groups[2].key.clone();
    let (batches, too_large) = pack(groups.clone(), |group| group.key == failed);
    assert_eq!(too_large, groups[1..2]);
    let sizes: Vec<_> = batches.iter().map(|batch| batch.groups.len()).collect();
    assert_eq!(sizes, [3, 1]);
    assert_eq!(batches[1].groups[0].key, failed);
}

proptest! {
    #[test]
    fn batches_hold_every_group_once_in_order_and_none_is_over_a_limit(
        lengths in prop::collection::vec(prop_oneof![9 => 1usize..40, 1 => 300usize..900], 1..80),
    ) {
        let groups = groups(&lengths);
        let (batches, too_large) = pack(groups.clone(), |_| false);
        prop_assert!(too_large.is_empty());
        prop_assert!(batches.iter().all(|batch| batch.cost.fits()));
        for pair in batches.windows(2) {
            let next = cost(&pair[1].groups[0]);
            prop_assert!(!pair[0].cost.plus(next).fits(), "one more would have fitted");
        }
        let packed: Vec<_> = batches.into_iter().flat_map(|batch| batch.groups).collect();
        prop_assert_eq!(packed, groups);
    }

    #[test]
    fn halves_are_the_whole(lengths in prop::collection::vec(1usize..4, 1..40)) {
        let (mut batches, _) = pack(groups(&lengths), |_| false);
        let whole = batches.remove(0);
        match whole.clone().halves() {
            Err(group) => prop_assert_eq!(vec![group], whole.groups),
            Ok((first, second)) => {
                prop_assert!(!first.groups.is_empty() && !second.groups.is_empty());
                prop_assert_eq!(first.cost.plus(second.cost), whole.cost);
                prop_assert_eq!([first.groups, second.groups].concat(), whole.groups);
            }
        }
    }
}

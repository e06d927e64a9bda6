//! Removals need two looks, and a word when they are many.

use super::*;
use crate::dns::plan::owner::Owner;
use crate::dns::plan::{Policy, Terms, plan};
use crate::dns::record::{Name, Record, RecordType};

fn record(name: &str) -> Record {
    let key = SetKey { name: Name::of_service(name), kind: RecordType::A };
    Record::values(key, 60, ["192.0.2.1".into()])
}

/// The plan of a zone with `ours` names of which `gone` are wanted no more.
fn removing(ours: usize, gone: usize) -> Plan {
    let owner: Owner = "karman".parse().unwrap();
    let terms = Terms { zone: Name::of_service("example.com"), owner: owner.clone(), policy: Policy::Sync, adopt: false };
    let records: Vec<_> = (0..ours).map(|n| record(&format!("n{n}.example.com"))).collect();
    let marks = records.iter().map(|record| owner.mark(&record.key));
    let current: Vec<_> = records.iter().cloned().chain(marks).collect();
    plan(&records[gone..], &current, &terms).unwrap()
}

#[test]
fn what_two_looks_agree_on_is_removed() {
    let mut guard = Guard::default();
    let (admitted, held) = guard.admit(removing(20, 2));
    assert_eq!((admitted.groups.len(), admitted.kept.len(), held), (0, 2, Some(Held::Unconfirmed)));
    let (_, held) = guard.admit(removing(20, 3));
    assert_eq!(held, Some(Held::Unconfirmed), "it found another one");
    let (admitted, held) = guard.admit(removing(20, 3));
    assert_eq!((admitted.groups.len(), held), (3, None));
}

#[test]
fn many_at_once_need_a_word() {
    for (ours, gone, max) in [(20, 6, 5), (100, 11, 10), (6, 6 - 1, 5)] {
        let mut guard = Guard::default();
        guard.admit(removing(ours, gone));
        let held = guard.admit(removing(ours, gone)).1;
        let expected = (gone > max).then_some(Held::TooMany { removals: gone, max });
        assert_eq!(held, expected, "{gone} of {ours}");
    }
    let mut guard = Guard::new(true);
    assert_eq!(guard.admit(removing(20, 15)).1, Some(Held::Unconfirmed), "a word is no second look");
    assert_eq!(guard.admit(removing(20, 15)).1, None);
}

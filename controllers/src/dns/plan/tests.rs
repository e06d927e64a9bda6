//! Plans, by example and by the thousand, against a strict zone.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::dns::batch::pack;
use crate::dns::record::{Answer, Routing};
use crate::dns::strict::StrictZone;

const ZONE: &str = "example.com";

fn terms(policy: Policy) -> Terms {
    Terms { zone: Name::of_service(ZONE), owner: ours(), policy, adopt: false }
}

fn ours() -> Owner {
    "karman".parse().unwrap()
}

fn key(name: &str, kind: RecordType) -> SetKey {
    SetKey { name: Name::of_service(&format!("{name}.{ZONE}")), kind }
}

fn address(name: &str, value: &str) -> Record {
    Record::values(key(name, RecordType::A), 60, [value.into()])
}

fn weighted(name: &str, id: &str, weight: u8) -> Record {
    Record { routing: Routing::Weighted { id: id.into(), weight }, ..address(name, "192.0.2.9") }
}

fn marked(records: &[Record], owner: &Owner) -> Vec<Record> {
    let keys: BTreeSet<_> = records.iter().map(|record| &record.key).collect();
    keys.into_iter().map(|key| owner.mark(key)).chain(records.iter().cloned()).collect()
}

fn made(plan: &Plan) -> Vec<String> {
    let sign = |change: &Change| match change {
        Change::Create(_) => '+',
        Change::Upsert(_) => '~',
        Change::Delete(_) => '-',
    };
    let changes = plan.groups.iter().flat_map(|group| &group.changes);
    changes
        .filter(|change| change.record().key.kind != RecordType::Txt)
        .map(|change| format!("{} {}", sign(change), change.record()))
        .collect()
}

#[test]
fn an_empty_wish_is_a_mistake() {
    let current = marked(&[address("a", "192.0.2.1")], &ours());
    assert_eq!(plan(&[], &current, &terms(Policy::Sync)), Err(NothingDesired));
}

#[test]
fn a_mark_says_whose_a_name_is_and_wildcards_have_one_too() {
    for (name, mark) in [("a", "_karman.a.a.example.com"), ("*.eu", "_karman.a._wildcard.eu.example.com")] {
        let record = ours().mark(&key(name, RecordType::A));
        assert_eq!(record.key.to_string(), format!("{mark} TXT"));
        assert_eq!(record.answer, Answer::Values { ttl_seconds: 300, values: vec!["\"heritage=karman,owner=karman\"".into()] });
    }
    let wanted = [address("*.eu", "192.0.2.1")];
    let current: Vec<_> = marked(&wanted, &ours())
        .into_iter()
        .map(|mut record| {
            // As the service writes it.
            record.key.name = Name::of_service(&format!("{}.", record.key.name).replace('*', "\\052"));
            record
        })
        .collect();
    assert!(plan(&wanted, &current, &terms(Policy::Sync)).unwrap().is_empty());
}

#[test]
fn what_is_not_marked_as_ours_is_reported_and_left_alone() {
    let wanted = [address("a", "192.0.2.1")];
    let theirs = address("a", "203.0.113.1");
    let cname = Record::values(key("a", RecordType::Cname), 60, ["b.example.net".into()]);
    let opaque = Record { routing: Routing::Other { id: "geo".into() }, ..theirs.clone() };
    let staging: Owner = "staging".parse().unwrap();
    let mut odd = ours().mark(&wanted[0].key);
    odd.answer = Answer::Values { ttl_seconds: 300, values: vec!["\"v=spf1\"".into()] };
    let zones: [(Vec<Record>, &str, bool); 5] = [
        (vec![theirs.clone()], "records stand there that nobody marked", true),
        (marked(std::slice::from_ref(&theirs), &staging), "it is marked as staging's", false),
        (vec![cname], "a CNAME stands under the name", false),
        (marked(&[opaque], &ours()), OPAQUE, false),
        (vec![odd], "something else stands where its mark would", false),
    ];
    for (current, why, can_be_adopted) in zones {
        let plan = |adopt| plan(&wanted, &current, &Terms { adopt, ..terms(Policy::Sync) }).unwrap();
        assert_eq!(made(&plan(false)), [""; 0]);
        assert!(plan(false).foreign[0].why.starts_with(why), "{:?}", plan(false).foreign);
        assert_eq!(plan(true).foreign.is_empty(), can_be_adopted, "{why}");
    }
}

#[test]
fn nothing_is_removed_unless_the_policy_says_so() {
    let current = marked(&[weighted("a", "one", 100), weighted("a", "two", 0), address("b", "192.0.2.1")], &ours());
    let wanted = [weighted("a", "one", 50)];
    let upserts = plan(&wanted, &current, &terms(Policy::UpsertOnly)).unwrap();
    assert_eq!(made(&upserts), ["~ a.example.com A [one] weight 50 -> 192.0.2.9 (ttl 60 s)"]);
    assert_eq!(upserts.kept, [key("a", RecordType::A), key("b", RecordType::A)]);
    assert_eq!(upserts.removals().len(), 0);
    let sync = plan(&wanted, &current, &terms(Policy::Sync)).unwrap();
    assert_eq!(sync.removals().len(), 2);
    assert_eq!(made(&sync).len(), 3);
}

#[test]
fn another_routing_rule_replaces_all_records_of_a_name_at_once() {
    let current = marked(&[address("a", "192.0.2.1")], &ours());
    let plan = plan(&[weighted("a", "one", 100)], &current, &terms(Policy::UpsertOnly)).unwrap();
    assert_eq!(
        made(&plan),
        ["- a.example.com A -> 192.0.2.1 (ttl 60 s)", "+ a.example.com A [one] weight 100 -> 192.0.2.9 (ttl 60 s)"]
    );
    assert!(plan.removals().is_empty(), "the name goes on");
}

/// Records under one name and type, all of one routing rule.
fn set() -> impl Strategy<Value = Vec<Record>> {
    let name = select(vec!["a", "b", "c", "*.w"]);
    let kind = select(vec![RecordType::A, RecordType::Aaaa]);
    let region = |n: usize| ["us-east-1", "eu-west-1", "ap-southeast-2"][n % 3];
    (name, kind, 0..4usize, prop::collection::btree_map(0..3usize, (0..3u8, any::<bool>()), 1..4)).prop_map(
        move |(name, kind, rule, members)| {
            let record = |n: usize, value: u8| {
                let routing = match rule {
                    0 => Routing::Simple,
                    1 => Routing::Latency { id: region(n).into(), region: region(n).into() },
                    _ => Routing::Weighted { id: format!("w{n}").into(), weight: value * 50 },
                };
                Record {
                    routing,
                    ..Record::values(key(name, kind.clone()), 60 + u32::from(value), [format!("192.0.2.{value}").into()])
                }
            };
            let alias = |record: Record| {
                let answer =
                    Answer::Alias { zone: "ZLB".into(), target: Name::of_service("lb.amazonaws.com"), evaluate_health: true };
                Record { answer, ..record }
            };
            let count = if rule == 0 { 1 } else { members.len() };
            let records = members.into_iter().take(count);
            records.map(|(n, (value, is_alias))| if is_alias { alias(record(n, value)) } else { record(n, value) }).collect()
        },
    )
}

/// Sets of which no two have the same name and type.
fn distinct(sets: Vec<Vec<Record>>) -> Vec<Record> {
    let mut seen = BTreeSet::new();
    sets.into_iter().filter(|set| set.first().is_some_and(|first| seen.insert(first.key.clone()))).flatten().collect()
}

fn wanted() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(set(), 1..6).prop_map(distinct)
}

/// A zone in which some sets are ours, some another owner's and some nobody's.
fn zone() -> impl Strategy<Value = Vec<Record>> {
    let owned = (set(), select(vec![Some("karman"), Some("karman"), Some("staging"), None]));
    prop::collection::vec(owned, 0..8).prop_map(|sets| {
        let mut seen = BTreeSet::new();
        let mut zone = vec![Record::values(key("txt", RecordType::Txt), 60, ["\"v=spf1\"".into()])];
        for (set, owner) in sets.into_iter().filter(|(set, _)| seen.insert(set[0].key.clone())) {
            match owner {
                Some(owner) => zone.extend(marked(&set, &owner.parse().unwrap())),
                None => zone.extend(set),
            }
        }
        zone
    })
}

fn apply(zone: &[Record], plan: &Plan) -> StrictZone {
    let mut strict = StrictZone { records: zone.to_vec(), ..StrictZone::new(ZONE) };
    for batch in pack(plan.groups.clone(), |_| false).0 {
        strict.change(&batch.changes().cloned().collect::<Vec<_>>()).unwrap();
    }
    strict
}

/// What of a zone belongs to somebody else or nobody.
fn others(zone: &[Record]) -> BTreeMap<String, Record> {
    let (marks, records) = owner::marks(zone);
    let is_ours = |key: &SetKey| marks.get(key).is_some_and(|mark| mark.owner.as_ref() == Some(&ours()));
    let theirs = records.into_iter().filter(|record| !is_ours(&record.key)).cloned();
    let their_marks = marks.iter().filter(|(key, _)| !is_ours(key)).map(|(_, mark)| mark.record.clone());
    StrictZone { records: theirs.chain(their_marks).collect(), ..StrictZone::new(ZONE) }.sorted()
}

proptest! {
    #[test]
    fn a_plan_makes_what_is_wanted_and_touches_nothing_else(wanted in wanted(), zone in zone()) {
        let plan = plan(&wanted, &zone, &terms(Policy::Sync)).unwrap();
        let after = apply(&zone, &plan);
        let foreign: BTreeSet<_> = plan.foreign.iter().map(|foreign| &foreign.key).collect();
        let mine: Vec<_> = wanted.iter().filter(|record| !foreign.contains(&record.key)).cloned().collect();
        let mut expected = others(&zone);
        expected.extend(StrictZone { records: marked(&mine, &ours()), ..StrictZone::new(ZONE) }.sorted());
        prop_assert_eq!(after.sorted(), expected);
        let before = others(&zone);
        let kept: BTreeMap<_, _> = after.sorted().into_iter().filter(|(key, _)| before.contains_key(key)).collect();
        prop_assert_eq!(kept, before);
    }

    #[test]
    fn a_second_plan_is_empty(wanted in wanted(), zone in zone(), sync in any::<bool>()) {
        let terms = terms(if sync { Policy::Sync } else { Policy::UpsertOnly });
        let first = plan(&wanted, &zone, &terms).unwrap();
        let second = plan(&wanted, &apply(&zone, &first).records, &terms).unwrap();
        prop_assert_eq!(second.groups, vec![]);
        prop_assert_eq!(second.foreign, first.foreign);
    }

    #[test]
    fn without_the_policy_no_name_loses_its_records(wanted in wanted(), zone in zone()) {
        let plan = plan(&wanted, &zone, &terms(Policy::UpsertOnly)).unwrap();
        let after: BTreeSet<_> = apply(&zone, &plan).records.into_iter().map(|record| record.key).collect();
        prop_assert!(zone.iter().all(|record| after.contains(&record.key)));
    }
}

#[test]
fn an_alias_is_made_after_what_it_points_to_and_removed_before_it() {
    let target = address("z", "192.0.2.1");
    let answer = Answer::Alias { zone: "Z".into(), target: target.key.name.clone(), evaluate_health: true };
    let alias = Record { answer, ..address("a", "") };
    let both = [alias, target];
    let order = |plan: &Plan| plan.groups.iter().map(|group| group.key.name.to_string()).collect::<Vec<_>>();
    let creates = plan(&both, &[], &terms(Policy::Sync)).unwrap();
    assert_eq!(order(&creates), ["z.example.com", "a.example.com"]);
    let removes = plan(&[address("new", "192.0.2.2")], &marked(&both, &ours()), &terms(Policy::Sync)).unwrap();
    assert_eq!(order(&removes), ["new.example.com", "a.example.com", "z.example.com"]);
}

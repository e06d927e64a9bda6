//! Making plans against a service that refuses, throttles and loses answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::dns::calls::Pace;
use crate::dns::plan::owner::Owner;
use crate::dns::plan::{Policy, Terms, plan};
use crate::dns::record::{Name, Record, RecordType};
use crate::dns::strict_service::StrictService;

const ZONE: &str = "example.com";

fn calls(service: &Arc<StrictService>) -> Calls {
    let pace = Pace { pause: Duration::from_millis(1), tries: 4, ..Pace::default() };
    Calls::new(Arc::clone(service) as Arc<_>, pace)
}

fn key(name: &str) -> SetKey {
    SetKey { name: Name::of_service(&format!("{name}.{ZONE}")), kind: RecordType::Txt }
}

/// TXT records of which those whose name begins with `bad` are refused by the service.
fn records(names: &[&str]) -> Vec<Record> {
    let value = |name: &str| if name.starts_with("bad") { "no quotes" } else { "\"good\"" };
    names.iter().map(|name| Record::values(key(name), 60, [value(name).into()])).collect()
}

fn groups(names: &[&str], service: &StrictService) -> Vec<Group> {
    let owner: Owner = "karman".parse().unwrap();
    let terms = Terms { zone: Name::of_service(ZONE), owner, policy: Policy::Sync, adopt: false };
    plan(&records(names), &service.with(|state| state.zone.records.clone()), &terms).unwrap().groups
}

fn present(service: &StrictService) -> BTreeSet<String> {
    service.with(|state| state.zone.records.iter().map(|record| record.key.name.to_string()).collect())
}

#[tokio::test]
async fn names_at_fault_are_found_by_halving_and_set_aside() {
    let service = Arc::new(StrictService::new(ZONE));
    let names = ["a", "b", "bad-1", "c", "d", "e", "f", "bad-2"];
    let made = make(&calls(&service), ZONE, groups(&names, &service), &Aside::new()).await.unwrap();
    assert_eq!(made.aside.keys().collect::<Vec<_>>(), [&key("bad-1"), &key("bad-2")]);
    assert!(made.aside[&key("bad-1")].contains("a TXT value is quoted"));
    assert_eq!(made.changes, 12, "six records with their marks");
    assert!(names.iter().all(|name| present(&service).contains(&format!("{name}.{ZONE}")) != name.starts_with("bad")));
    assert!(service.with(|state| state.batches.len()) <= 2 * 2 * 3 + 1, "logarithmic in what was fine");

    // The next time they go last and alone, and cost nobody a second try.
    service.with(|state| state.batches.clear());
    let again = make(&calls(&service), ZONE, groups(&[names.as_slice(), &["g", "h"]].concat(), &service), &made.aside).await;
    assert_eq!(again.unwrap().changes, 4);
    assert_eq!(service.with(|state| state.batches.clone()), [4, 2, 2]);
}

#[tokio::test]
async fn throttling_and_a_busy_zone_are_waited_out_and_then_given_up() {
    let service = Arc::new(StrictService::new(ZONE));
    service.with(|state| state.refusals.extend([Refusal::Busy, Refusal::Throttled, Refusal::Busy]));
    let fast = Pace {
        calls: crate::dns::bucket::Bucket::new(100, 1_000),
        changes: crate::dns::bucket::Bucket::new(100, 1_000),
        ..Pace::default()
    };
    let calls = Calls::new(Arc::clone(&service) as Arc<_>, Pace { pause: Duration::from_millis(1), tries: 4, ..fast });
    assert_eq!(make(&calls, ZONE, groups(&["a"], &service), &Aside::new()).await.unwrap().changes, 2);
    service.with(|state| state.refusals.extend([Refusal::Busy, Refusal::Busy, Refusal::Busy, Refusal::Busy]));
    let refused = make(&calls, ZONE, groups(&["a", "b"], &service), &Aside::new()).await;
    assert_eq!(refused, Err(Refusal::Busy));
}

#[tokio::test]
async fn a_lost_answer_is_not_asked_for_again_but_looked_at() {
    let service = Arc::new(StrictService::new(ZONE));
    service.with(|state| state.lose_answer = true);
    let refused = make(&calls(&service), ZONE, groups(&["a"], &service), &Aside::new()).await;
    assert!(matches!(refused, Err(Refusal::Unreachable(_))));
    assert_eq!(service.with(|state| state.batches.len()), 1);
    assert!(groups(&["a"], &service).is_empty(), "the next look finds that it was made");
}

#[tokio::test]
async fn all_pages_of_a_zone_are_read() {
    let service = Arc::new(StrictService::new(ZONE));
    make(&calls(&service), ZONE, groups(&["a", "b", "c", "d", "e"], &service), &Aside::new()).await.unwrap();
    service.with(|state| state.list_refusals.extend([Refusal::Unreachable("reset".to_owned())]));
    let read: Vec<_> = calls(&service).records(ZONE).await.unwrap().iter().map(ToString::to_string).collect();
    let mut there: Vec<_> = service.with(|state| state.zone.records.iter().map(ToString::to_string).collect());
    there.sort();
    let distinct: BTreeSet<_> = read.iter().cloned().collect();
    assert_eq!((read.len(), distinct.into_iter().collect::<Vec<_>>()), (there.len(), there));
}

#[test]
fn pauses_double_up_to_a_limit_and_differ() {
    let pace = Pace::default();
    let millis = |tried, chance| pace.pause_after(tried, chance).as_millis();
    assert_eq!(
        [millis(0, 0.0), millis(0, 1.0), millis(1, 1.0), millis(3, 0.0), millis(40, 1.0)],
        [250, 500, 1_000, 2_000, 20_000]
    );
}

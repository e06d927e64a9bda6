//! Challenges side by side, beside those of others, and after a restart.

use super::*;
use crate::dns::calls::Pace;
use crate::dns::strict_service::StrictService;

const NAME: &str = "_acme-challenge.apps.example.com";

fn zone() -> (Arc<StrictService>, Challenges) {
    let service = Arc::new(StrictService::new("example.com"));
    let calls = Calls::new(Arc::clone(&service) as Arc<_>, Pace { pause: Duration::from_millis(1), ..Pace::default() });
    let challenges = Challenges { poll: Duration::from_millis(1), ..Challenges::new(Arc::new(calls), "Z") };
    (service, challenges)
}

fn name() -> Name {
    Name::of_service(NAME)
}

/// The values under the name, sorted.
fn present(service: &StrictService) -> Vec<String> {
    let records = service.with(|state| state.zone.records.clone());
    let mut values: Vec<_> = records.iter().flat_map(|record| values(record).iter().map(ToString::to_string)).collect();
    values.sort();
    values
}

#[tokio::test]
async fn a_name_and_its_wildcard_are_proven_side_by_side() {
    let (service, challenges) = zone();
    challenges.present(&name(), "one").await.unwrap();
    challenges.present(&name(), "two").await.unwrap();
    challenges.present(&name(), "two").await.unwrap();
    assert_eq!(present(&service), ["\"one\"", "\"two\""]);
    challenges.clean_up(&name(), "one").await.unwrap();
    assert_eq!(present(&service), ["\"two\""]);
    challenges.clean_up(&name(), "two").await.unwrap();
    challenges.clean_up(&name(), "two").await.unwrap();
    assert!(service.with(|state| state.zone.records.is_empty()));
}

#[tokio::test]
async fn the_values_of_others_stay() {
    let (service, challenges) = zone();
    let theirs = Record::values(key(&name()), 300, ["\"theirs\"".into()]);
    service.with(|state| state.zone.records.push(theirs.clone()));
    challenges.present(&name(), "ours").await.unwrap();
    assert_eq!(present(&service), ["\"ours\"", "\"theirs\""]);
    challenges.clean_up(&name(), "ours").await.unwrap();
    assert_eq!(service.with(|state| state.zone.records.clone()), [theirs]);
}

#[tokio::test]
async fn it_waits_until_a_change_is_everywhere_even_one_of_a_process_that_is_gone() {
    let (service, challenges) = zone();
    challenges.present(&name(), "one").await.unwrap();
    service.with(|state| state.pending = 3);
    challenges.wait(&name(), "one").await.unwrap();
    assert_eq!(service.with(|state| state.pending), 0);
    let next = Challenges { poll: Duration::from_millis(1), ..Challenges::new(Arc::clone(&challenges.calls), "Z") };
    service.with(|state| state.pending = 2);
    next.wait(&name(), "one").await.unwrap();
    assert_eq!(service.with(|state| (state.pending, state.batches.clone())), (0, vec![1, 1]));
    assert!(matches!(next.wait(&Name::of_service("other.example.com"), "one").await, Err(Refusal::NotFound(_))));
}

#[tokio::test]
async fn whoever_is_slower_at_a_name_looks_again() {
    let (service, challenges) = zone();
    service.with(|state| state.refusals.push_back(Refusal::Invalid("it already exists".to_owned())));
    challenges.present(&name(), "ours").await.unwrap();
    assert_eq!(present(&service), ["\"ours\""]);
    service.with(|state| state.refusals.extend(std::iter::repeat_n(Refusal::Invalid("changed".to_owned()), TRIES)));
    assert!(matches!(challenges.present(&name(), "two").await, Err(Refusal::Invalid(_))));
}

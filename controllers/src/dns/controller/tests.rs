//! Whole passes against a strict service: regions come, change, move a share, and go.

use std::time::Duration;

use karman_contract::yaml::read_yaml;

use super::*;
use crate::dns::calls::Pace;
use crate::dns::record::Answer;
use crate::dns::strict_service::StrictService;

fn region(name: &str, more: &str) -> String {
    format!("  {name}: {{load_balancer: {{name: {name}.elb.amazonaws.com, zone: ZLB}}{more}}}\n")
}

fn wish(regions: &[String], more: &str) -> Wish {
    let text = format!("zone: ZONE\nregions:\n{}{more}", regions.concat());
    Wish { domain: Name::of_service("apps.example.com"), settings: read_yaml("platform.yaml", &text).unwrap() }
}

fn health(region: &str) -> String {
    format!(", health: {{host: {region}.edge.example.com}}")
}

fn controller(service: &Arc<StrictService>, policy: Policy) -> Controller {
    let pace = Pace { pause: Duration::from_millis(1), tries: 2, ..Pace::default() };
    let calls = Calls::new(Arc::clone(service) as Arc<_>, pace);
    Controller::new(Arc::new(calls), Options { policy, adopt: false, force: false })
}

fn names(service: &StrictService) -> Vec<String> {
    let mut names: Vec<_> = service.with(|state| {
        let plain = |record: &&Record| !record.key.name.as_str().starts_with("_karman");
        state
            .zone
            .records
            .iter()
            .filter(plain)
            .map(|record| format!("{} {}", record.key, record.routing.id().unwrap_or("-")))
            .collect()
    });
    names.sort();
    names
}

#[tokio::test]
async fn a_region_comes_and_goes() {
    let service = Arc::new(StrictService::new("example.com"));
    let both = wish(&[region("us-east-1", &health("us")), region("eu-west-1", &health("eu"))], "groups: {eu: [eu-west-1]}\n");
    let mut controller = controller(&service, Policy::Sync);
    let dry = controller.look(&both).await.unwrap();
    assert_eq!((dry.checks.create.len(), dry.plan.groups.len()), (2, 4));
    assert!(names(&service).is_empty(), "a look changes nothing");
    let first = controller.pass(&both).await.unwrap();
    assert!(first.is_settled(), "{first:?}");
    assert_eq!((first.checks_made, names(&service).len()), (2, 5));
    let second = controller.pass(&both).await.unwrap();
    assert_eq!((second.changes, second.checks_made), (0, 0));

    let alone = wish(&[region("us-east-1", &health("us"))], "");
    let mut passes = Vec::new();
    for _ in 0..4 {
        passes.push(controller.pass(&alone).await.unwrap());
    }
    assert_eq!(passes[0].held, Some(Held::Unconfirmed), "one look is not enough");
    assert!(passes[1].is_settled());
    assert_eq!(
        names(&service),
        ["*.apps.example.com A all#us-east-1", "us-east-1.regions.apps.example.com A us-east-1>us-east-1"]
    );
    assert_eq!(passes.iter().map(|pass| pass.checks_removed).sum::<usize>(), 1);
    assert_eq!(service.with(|state| state.checks.len()), 1);
}

#[tokio::test]
async fn moving_a_share_changes_weights_and_nothing_else() {
    let service = Arc::new(StrictService::new("example.com"));
    let moved = |percent: u8| {
        let share = format!(", move: {{to: eu-west-1, percent: {percent}}}");
        wish(&[region("us-east-1", &share), region("eu-west-1", "")], "")
    };
    let mut controller = controller(&service, Policy::UpsertOnly);
    controller.pass(&moved(0)).await.unwrap();
    service.with(|state| state.batches.clear());
    assert_eq!(controller.pass(&moved(100)).await.unwrap().changes, 2);
    assert_eq!(service.with(|state| state.batches.clone()), [2], "both weights in one batch");
    let back = controller.pass(&wish(&[region("us-east-1", ""), region("eu-west-1", "")], "")).await.unwrap();
    assert_eq!((back.changes, back.kept.len()), (1, 1), "its weight is whole again, and what is left over stays");
}

#[tokio::test]
async fn what_somebody_else_put_there_stays_and_is_named() {
    let service = Arc::new(StrictService::new("example.com"));
    let wish = wish(&[region("us-east-1", "")], "");
    let answer = Answer::Values { ttl_seconds: 60, values: vec!["192.0.2.1".into()] };
    let key =
        super::super::record::SetKey { name: Name::of_service("*.apps.example.com"), kind: super::super::record::RecordType::A };
    let theirs = Record { key, routing: super::super::record::Routing::Simple, answer, health_check: None };
    service.with(|state| state.zone.records.push(theirs.clone()));
    let pass = controller(&service, Policy::Sync).pass(&wish).await.unwrap();
    assert_eq!(pass.foreign.len(), 1);
    assert!(!pass.is_settled());
    assert!(service.with(|state| state.zone.records.contains(&theirs)));
    assert_eq!(names(&service).len(), 2, "the rest is made");
}

#[tokio::test]
async fn a_domain_of_another_zone_is_refused_before_anything_is_made() {
    let service = Arc::new(StrictService::new("example.net"));
    let trouble = controller(&service, Policy::Sync).pass(&wish(&[region("us-east-1", &health("us"))], "")).await.unwrap_err();
    assert_eq!(trouble.to_string(), "the domain apps.example.com is not in the zone, which is example.net");
    assert!(service.with(|state| state.checks.is_empty()));
}

//! `karman dns` and the SDK against moto, a real server of Route 53's API; and where that is not as strict.

#[path = "dns/killing.rs"]
mod killing;
#[path = "dns/relay.rs"]
mod relay;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_route53::Client;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, ResourceRecordSetRegion, RrType,
};
use karman::certificates::txt::{Provider, Txt};
use karman::dns::calls::{Calls, Pace};
use karman::dns::challenge::Challenges;
use karman::dns::record::Name;
use karman::dns::route53::Route53;
use tempfile::TempDir;

use crate::moto::Moto;
use crate::program::{KARMAN, Program, Ran, karman_with};

const REGIONS: &str = "
  regions:
    us-east-1: {load_balancer: {name: use1.elb.us-east-1.amazonaws.com, zone: Z26RNL4JYFTOTI}, move: {to: eu-west-1, percent: 25}}
    eu-west-1:
      load_balancer: {name: euw1.elb.eu-west-1.amazonaws.com, zone: Z2IFOLAFXWLO4F}
      health: {host: eu-west-1.edge.example.com}
  groups: {eu: [eu-west-1]}
";

/// A store whose zone is served by a moto of its own.
struct Lab {
    moto: Moto,
    client: Client,
    zone: String,
    dir: TempDir,
}

impl Lab {
    async fn start() -> Self {
        let moto = Moto::start();
        let client = moto.client();
        let made = client.create_hosted_zone().name("example.com").caller_reference("lab").send().await.unwrap();
        let zone = made.hosted_zone().unwrap().id().trim_start_matches("/hostedzone/").to_owned();
        let lab = Self { moto, client, zone, dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(lab.dir.path().join("data")).unwrap();
        lab.write(REGIONS);
        lab
    }

    fn write(&self, regions: &str) {
        let text = format!("domain: apps.example.com\ndns:\n  zone: {}{regions}", self.zone);
        std::fs::write(self.dir.path().join("data/platform.yaml"), text).unwrap();
    }

    fn karman(&self, arguments: &[&str]) -> Ran {
        karman_with(self.dir.path(), arguments, self.moto.environment())
    }

    async fn sets(&self) -> Vec<ResourceRecordSet> {
        self.client.list_resource_record_sets().hosted_zone_id(&self.zone).send().await.unwrap().resource_record_sets().to_vec()
    }

    /// What stands under a name, as `identifier: rule -> target`.
    async fn at(&self, name: &str) -> Vec<String> {
        let sets = self.sets().await;
        let mut found: Vec<_> = sets.iter().filter(|set| set.name().trim_end_matches('.') == name).map(shown).collect();
        found.sort();
        found
    }

    async fn change(&self, changes: Vec<(ChangeAction, ResourceRecordSet)>) -> Result<(), String> {
        let change = |(action, set)| Change::builder().action(action).resource_record_set(set).build().unwrap();
        let batch = ChangeBatch::builder().set_changes(Some(changes.into_iter().map(change).collect())).build().unwrap();
        let sent = self.client.change_resource_record_sets().hosted_zone_id(&self.zone).change_batch(batch).send().await;
        sent.map(drop).map_err(|error| format!("{:?}", error.as_service_error()))
    }

    fn calls(&self) -> Arc<Calls> {
        Arc::new(Calls::new(Arc::new(Route53::new(self.client.clone())), Pace::default()))
    }
}

fn shown(set: &ResourceRecordSet) -> String {
    let rule = match (set.weight(), set.region()) {
        (Some(weight), _) => format!("weight {weight}"),
        (None, Some(region)) => format!("nearest {}", region.as_str()),
        (None, None) => "alone".to_owned(),
    };
    let alias = set.alias_target().unwrap();
    let check = if set.health_check_id().is_some() { ", checked" } else { "" };
    let target = alias.dns_name().trim_end_matches('.');
    format!("{}: {rule} -> {target} in {}{check}", set.set_identifier().unwrap(), alias.hosted_zone_id())
}

fn address(name: &str, value: &str) -> ResourceRecordSet {
    let record = ResourceRecord::builder().value(value).build().unwrap();
    ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(60).resource_records(record).build().unwrap()
}

fn near(name: &str, id: &str, region: &str) -> ResourceRecordSet {
    let record = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
    let set = ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(60).resource_records(record);
    set.set_identifier(id).region(ResourceRecordSetRegion::from(region)).build().unwrap()
}

#[tokio::test]
async fn a_plan_is_shown_then_made_and_then_there_is_nothing_left_to_do() {
    let lab = Lab::start().await;
    let plan = lab.karman(&["dns", "plan"]);
    assert_eq!(plan.code, 0, "{plan:?}");
    for line in [
        "+ health check of eu-west-1: https://eu-west-1.edge.example.com:443/healthz/region",
        "+ us-east-1.regions.apps.example.com A [us-east-1>us-east-1] weight 75 -> use1.elb.us-east-1.amazonaws.com while healthy",
        "+ *.eu.apps.example.com A nearest eu-west-1 -> eu-west-1.regions.apps.example.com while healthy, health check to be made",
        "6 to make, 0 to change, 0 to remove; 0 left alone",
    ] {
        assert!(plan.stdout.contains(line), "'{line}' is not in:\n{}", plan.stdout);
    }
    assert_eq!(lab.sets().await.len(), 2, "a plan changes nothing: SOA and NS");

    let apply = lab.karman(&["dns", "apply"]);
    assert_eq!((apply.code, apply.stdout.contains("1 health checks made")), (0, true), "{apply:?}");
    let zone = &lab.zone;
    assert_eq!(
        lab.at("*.apps.example.com").await,
        [
            format!("all#eu-west-1: nearest eu-west-1 -> eu-west-1.regions.apps.example.com in {zone}, checked"),
            format!("all#us-east-1: nearest us-east-1 -> us-east-1.regions.apps.example.com in {zone}"),
        ]
    );
    assert_eq!(
        lab.at("us-east-1.regions.apps.example.com").await,
        [
            "us-east-1>eu-west-1: weight 25 -> euw1.elb.eu-west-1.amazonaws.com in Z2IFOLAFXWLO4F, checked",
            "us-east-1>us-east-1: weight 75 -> use1.elb.us-east-1.amazonaws.com in Z26RNL4JYFTOTI",
        ]
    );
    let checks = lab.client.list_health_checks().send().await.unwrap();
    let check = checks.health_checks()[0].health_check_config().unwrap();
    assert_eq!(
        (check.fully_qualified_domain_name(), check.resource_path()),
        (Some("eu-west-1.edge.example.com"), Some("/healthz/region"))
    );
    assert_eq!((check.request_interval(), check.failure_threshold()), (Some(10), Some(3)));

    let again = lab.karman(&["dns", "plan"]);
    assert!(again.stdout.contains("0 to make, 0 to change, 0 to remove; 0 left alone"), "{}", again.stdout);
    let status = std::fs::read_to_string(lab.dir.path().join(format!("data/status/dns/{zone}.json"))).unwrap();
    assert!(status.contains("\"settled\": true"), "{status}");
}

#[tokio::test]
async fn a_region_that_is_gone_is_removed_only_where_that_is_allowed() {
    let lab = Lab::start().await;
    assert_eq!(lab.karman(&["dns", "apply"]).code, 0);
    lab.write("\n  regions:\n    us-east-1: {load_balancer: {name: use1.elb.us-east-1.amazonaws.com, zone: Z26RNL4JYFTOTI}}\n");
    let kept = lab.karman(&["dns", "apply"]);
    assert_eq!(kept.code, 0, "{kept:?}");
    assert_eq!(lab.at("*.eu.apps.example.com").await.len(), 1);
    let plan = lab.karman(&["dns", "plan"]);
    assert!(plan.stdout.contains("= *.eu.apps.example.com A: wanted no more, and kept"), "{}", plan.stdout);
    let gone = lab.karman(&["dns", "apply", "--policy", "sync"]);
    assert_eq!(gone.code, 0, "{gone:?}");
    assert!(lab.at("*.eu.apps.example.com").await.is_empty());
    assert_eq!(lab.at("us-east-1.regions.apps.example.com").await.len(), 1);
    assert!(lab.client.list_health_checks().send().await.unwrap().health_checks().is_empty());
}

#[tokio::test]
async fn what_somebody_else_put_there_is_left_alone_and_said() {
    let lab = Lab::start().await;
    lab.change(vec![(ChangeAction::Create, address("*.eu.apps.example.com", "192.0.2.7"))]).await.unwrap();
    let plan = lab.karman(&["dns", "plan"]);
    assert!(plan.stdout.contains("! *.eu.apps.example.com A: records stand there that nobody marked"), "{}", plan.stdout);
    let apply = lab.karman(&["dns", "apply"]);
    assert_eq!(apply.code, 65, "{apply:?}");
    let sets = lab.sets().await;
    let theirs: Vec<_> = sets.iter().filter(|set| set.name().contains(".eu.apps")).collect();
    assert_eq!((theirs.len(), theirs[0].resource_records()[0].value()), (1, "192.0.2.7"));
}

#[tokio::test]
async fn watching_follows_the_store() {
    let lab = Lab::start().await;
    let mut watch =
        Program::start_with("watch", KARMAN.as_ref(), lab.dir.path(), ["dns", "apply", "--watch"], lab.moto.environment());
    watch.wait_for("1 health checks made");
    let second = lab.karman(&["dns", "apply"]);
    assert_eq!((second.code, second.stderr.contains("keeps the records already")), (75, true), "{second:?}");
    lab.write(&REGIONS.replace("percent: 25", "percent: 60"));
    watch.wait_for("2 changes");
    let moved = lab.at("us-east-1.regions.apps.example.com").await;
    assert!(moved[0].contains("weight 60") && moved[1].contains("weight 40"), "{moved:?}");
    lab.write("\n  regions: {}\n");
    watch.wait_for("found 0 regions, wanted 1 to 64");
    assert_eq!(lab.at("*.apps.example.com").await.len(), 2, "a mistake in the store changes nothing");
}

#[tokio::test]
async fn challenges_stand_side_by_side_and_are_known_to_be_everywhere() {
    let lab = Lab::start().await;
    let mut challenges = Challenges::new(lab.calls(), &lab.zone);
    challenges.poll = Duration::from_millis(50);
    let name = Name::of_service("_acme-challenge.apps.example.com");
    // As a hook of the certificates controller: each step in a process of its own.
    for step in ["present", "wait", "remove"] {
        let ran = lab.karman(&["dns", "challenge", step, name.as_str(), "by-hook"]);
        assert_eq!(ran.code, 0, "{step}: {ran:?}");
        let present = lab.sets().await.iter().any(|set| set.name().starts_with("_acme-challenge"));
        assert_eq!(present, step != "remove", "{step}");
    }
    let values = async || {
        let sets = lab.sets().await;
        let mut values: Vec<_> = sets
            .iter()
            .filter(|set| set.name().starts_with("_acme-challenge"))
            .flat_map(|set| set.resource_records().iter().map(|record| record.value().to_owned()))
            .collect();
        values.sort();
        values
    };
    // As the certificates controller asks for it.
    let (provider, txt): (&dyn Provider, _) =
        (&challenges, |value: &str| Txt { name: name.to_string(), value: value.to_owned() });
    provider.present(&txt("one")).await.unwrap();
    provider.present(&txt("two")).await.unwrap();
    provider.wait(&txt("two")).await.unwrap();
    assert_eq!(values().await, ["\"one\"", "\"two\""]);
    provider.clean_up(&txt("one")).await.unwrap();
    assert_eq!(values().await, ["\"two\""]);
    provider.clean_up(&txt("two")).await.unwrap();
    assert!(values().await.is_empty());
}

/// Route 53 does none of this. The strict service of the planner's own tests does not either; whoever
/// finds that moto has changed its ways can take a row away here.
#[tokio::test]
async fn where_moto_is_not_as_strict_as_the_service() {
    let lab = Lab::start().await;
    // A wildcard is listed as `*`; AWS lists `\052`.
    lab.change(vec![(ChangeAction::Create, address("*.w.example.com", "192.0.2.1"))]).await.unwrap();
    assert!(lab.sets().await.iter().any(|set| set.name() == "*.w.example.com."));
    // What was made before the change that is refused stays made.
    let half = ["half.example.com", "elsewhere.example.net"].map(|name| (ChangeAction::Create, address(name, "192.0.2.1")));
    let refused = lab.change(half.to_vec()).await;
    assert!(refused.is_err() && lab.sets().await.iter().any(|set| set.name() == "half.example.com."), "{refused:?}");
    // A second record where only one rule may stand.
    lab.change(vec![(ChangeAction::Create, near("half.example.com", "half#us-east-1", "us-east-1"))]).await.unwrap();
    // An identifier is removed from all names that have it. Ours share none.
    let same = |action: ChangeAction, name| vec![(action, near(name, "us-east-1", "us-east-1"))];
    lab.change(same(ChangeAction::Create, "one.example.com")).await.unwrap();
    lab.change(same(ChangeAction::Create, "two.example.com")).await.unwrap();
    lab.change(same(ChangeAction::Delete, "one.example.com")).await.unwrap();
    assert!(!lab.sets().await.iter().any(|set| set.name() == "two.example.com."));
}

/// moto goes back to the first record of a name at the end of a page, for ever. Whatever the service: a
/// listing that does not move on is an error, not a loop.
#[tokio::test]
async fn a_listing_that_does_not_move_on_ends_in_an_error() {
    let lab = Lab::start().await;
    let weighted = |number: i64| {
        let record = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
        let set = ResourceRecordSet::builder().name("many.example.com").r#type(RrType::A).ttl(60).resource_records(record);
        (ChangeAction::Create, set.set_identifier(format!("many#{number:03}")).weight(number % 255).build().unwrap())
    };
    lab.change((0..700).map(weighted).collect()).await.unwrap();
    let refused = lab.calls().records(&lab.zone).await.unwrap_err().to_string();
    assert!(refused.contains("does not come to an end"), "{refused}");
}

//! The records of three regions, and of a share that is moved.

use karman_contract::yaml::read_yaml;

use super::*;

fn settings(more: &str) -> Settings {
    let region =
        |name: &str, more: &str| format!("  {name}: {{load_balancer: {{name: {name}.elb.amazonaws.com, zone: ZLB}}{more}}}\n");
    let regions = [region("us-east-1", more), region("eu-west-1", ""), region("ap-southeast-2", "")].concat();
    read_yaml("platform.yaml", &format!("zone: ZONE\nregions:\n{regions}groups: {{eu: [eu-west-1]}}\n")).unwrap()
}

fn shown(settings: &Settings, checks: &Ids) -> Vec<String> {
    let mut records: Vec<_> =
        desired(&Name::of_service("apps.example.com"), settings, checks).iter().map(ToString::to_string).collect();
    records.sort();
    records
}

#[test]
fn three_regions_are_a_handful_of_records() {
    assert_eq!(
        shown(&settings(""), &Ids::new()),
        [
            "*.apps.example.com A nearest ap-southeast-2 -> ap-southeast-2.regions.apps.example.com while healthy",
            "*.apps.example.com A nearest eu-west-1 -> eu-west-1.regions.apps.example.com while healthy",
            "*.apps.example.com A nearest us-east-1 -> us-east-1.regions.apps.example.com while healthy",
            "*.eu.apps.example.com A nearest eu-west-1 -> eu-west-1.regions.apps.example.com while healthy",
            "ap-southeast-2.regions.apps.example.com A [ap-southeast-2>ap-southeast-2] weight 100 \
             -> ap-southeast-2.elb.amazonaws.com while healthy",
            "eu-west-1.regions.apps.example.com A [eu-west-1>eu-west-1] weight 100 -> eu-west-1.elb.amazonaws.com while healthy",
            "us-east-1.regions.apps.example.com A [us-east-1>us-east-1] weight 100 -> us-east-1.elb.amazonaws.com while healthy",
        ]
    );
}

#[test]
fn a_share_is_moved_by_weights_and_health_follows_whom_it_is_about() {
    let checks = Ids::from([("eu-west-1".into(), "check-eu".into())]);
    let shown = shown(&settings(", move: {to: eu-west-1, percent: 30}"), &checks);
    let of_region: Vec<_> = shown.iter().filter(|record| record.starts_with("us-east-1.regions")).collect();
    assert_eq!(
        of_region,
        [
            "us-east-1.regions.apps.example.com A [us-east-1>eu-west-1] weight 30 -> eu-west-1.elb.amazonaws.com while healthy, \
             health check check-eu",
            "us-east-1.regions.apps.example.com A [us-east-1>us-east-1] weight 70 -> us-east-1.elb.amazonaws.com while healthy",
        ]
    );
    assert_eq!(shown.iter().filter(|record| record.ends_with("health check check-eu")).count(), 4);
}

#[test]
fn ipv6_doubles_them() {
    let four = settings("");
    let both = Settings { ipv6: true, ..four.clone() };
    assert_eq!(shown(&both, &Ids::new()).len(), 2 * shown(&four, &Ids::new()).len());
}

//! Regions as an operator writes them, and every mistake in them.

use karman_contract::yaml::read_yaml;

use super::*;

fn mistakes(text: &str) -> String {
    read_yaml::<Settings>("platform.yaml", text).unwrap_err().to_string()
}

const BALANCER: &str = "load_balancer: {name: lb.elb.amazonaws.com, zone: ZLB}";

#[test]
fn regions_have_defaults_where_they_can() {
    let text = format!("zone: ZONE\nregions: {{eu-west-1: {{{BALANCER}, health: {{host: eu.example.com}}}}}}");
    let settings: Settings = read_yaml("platform.yaml", &text).unwrap();
    assert_eq!((settings.owner.as_str(), settings.ipv6, settings.groups.len()), ("karman", false, 0));
    let health = settings.regions.values().next().unwrap().health.clone().unwrap();
    assert_eq!((health.port, &*health.path), (443, "/healthz/region"));
}

#[test]
fn every_mistake_is_named() {
    let text = format!(
        "zone: Z/1\nregions:\n  eu-west-1: {{{BALANCER}, move: {{to: eu-west-1, percent: 120}}}}\n  US: {{}}\n\
         groups:\n  world: []\nowner: Me"
    );
    let said = mistakes(&text);
    for part in [
        "zone: found 'Z/1', wanted the id of a hosted zone",
        "regions.eu-west-1.move.percent: found 120, wanted a number from 0 to 100",
        "regions.US: found 'US', wanted 1 to 32 of a-z, 0-9 and '-'",
        "groups.world: found no region, wanted at least one",
        "owner: found 'Me'",
    ] {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
    let text = format!(
        "zone: Z\nregions:\n  a: {{{BALANCER}, move: {{to: a, percent: 1}}}}\n  b: {{{BALANCER}, move: {{to: c, percent: 1}}}}\n\
         groups: {{regions: [a], world: [a, d]}}"
    );
    let said = mistakes(&text);
    for part in
        ["region a moves clients to itself", "region b moves clients to c", "cannot be called regions", "group world names d"]
    {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
    assert!(mistakes("zone: Z").contains("found 0 regions, wanted 1 to 64"));
}

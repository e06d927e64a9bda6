//! Health checks are made once and found again.

use super::*;

fn check(path: &str) -> Check {
    Check { host: "eu-west-1.edge.example.com".parse().unwrap(), port: 443, path: path.into() }
}

#[test]
fn a_check_is_made_once_found_again_and_replaced_when_it_asks_something_else() {
    let (owner, other): (Owner, Owner) = ("karman".parse().unwrap(), "staging".parse().unwrap());
    let (old, new) = (check("/healthz/region"), check("/other"));
    let first = plan([("eu-west-1", &old)], &[], &owner);
    let (_, reference) = &first.create["eu-west-1"];
    assert!(reference.len() <= 64, "{reference}");
    let existing = [
        Existing { id: "one".into(), reference: reference.clone() },
        Existing { id: "theirs".into(), reference: plan([("eu-west-1", &old)], &[], &other).create["eu-west-1"].1.clone() },
        Existing { id: "by hand".into(), reference: "2026-11-01".into() },
    ];
    let again = plan([("eu-west-1", &old)], &existing, &owner);
    assert_eq!(again, HealthPlan { have: [("eu-west-1".into(), "one".into())].into(), ..HealthPlan::default() });
    let changed = plan([("eu-west-1", &new)], &existing, &owner);
    assert_eq!((changed.create.len(), changed.surplus), (1, vec!["one".into()]));
    assert_eq!(plan([("us-east-1", &old)], &existing, &owner).create.len(), 1, "each region has its own");
}

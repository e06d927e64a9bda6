//! Our own limits.

use jiff::SignedDuration;
use karman_contract::name::HostPattern;

use super::sample::{at, names};
use crate::certificates::budget::{Budget, Limits, Spent};

const LIMITS: Limits = Limits { orders: 3, per_domain: 2, same_names: 1 };

fn budget(orders: &[(i64, Vec<HostPattern>, bool)]) -> Budget {
    let spent = orders.iter().map(|(hour, names, renews)| Spent { at: at(*hour), names, renews: *renews });
    Budget::new(LIMITS, spent, &[], at(200))
}

fn check(budget: &Budget, name: &str) -> Result<(), String> {
    budget
        .check(&names(&[name]), at(200))
        .map_err(|wait| format!("{} {}", wait.until.duration_since(at(200)).as_hours(), wait.limit))
}

#[test]
fn each_limit_holds_and_says_until_when() {
    let ordered = |hour, name: &str| (hour, names(&[name]), false);
    let account = budget(&[ordered(198, "a.one.com"), ordered(199, "a.two.com"), ordered(199, "a.three.com")]);
    assert_eq!(check(&account, "a.four.com"), Err("1 3 orders in 3 hours".to_owned()));

    let domain = budget(&[ordered(100, "a.one.com"), ordered(150, "b.one.com")]);
    assert_eq!(check(&domain, "c.one.com"), Err("68 2 certificates below one.com in 7 days".to_owned()));
    assert_eq!(check(&domain, "c.two.com"), Ok(()));

    let same = budget(&[ordered(190, "a.one.com")]);
    assert_eq!(check(&same, "a.one.com"), Err("158 1 certificates for the same names in 7 days".to_owned()));
    assert_eq!(check(&same, "*.one.com"), Ok(()), "another set of names");
}

#[test]
fn what_is_over_or_renews_does_not_count() {
    let over = budget(&[(0, names(&["a.one.com"]), false), (31, names(&["b.one.com"]), false)]);
    assert_eq!(check(&over, "a.one.com"), Ok(()));
    let renewals: Vec<_> = (0..10).map(|_| (199, names(&["a.one.com"]), true)).collect();
    assert_eq!(check(&budget(&renewals), "a.one.com"), Ok(()));
}

#[test]
fn an_order_that_failed_counts_for_the_account_and_no_name() {
    let one = [Spent { at: at(198), names: &names(&["a.one.com"]), renews: false }];
    for (made, expected) in [
        (vec![at(198)], Ok(())),
        (vec![at(198), at(199)], Ok(())),
        (vec![at(198), at(199), at(200)], Err("1 3 orders in 3 hours".to_owned())),
    ] {
        let budget = Budget::new(LIMITS, one.clone(), &made, at(200));
        assert_eq!(check(&budget, "b.one.com"), expected, "{made:?}");
    }
}

#[test]
fn a_count_goes_on_within_one_pass() {
    let mut budget = budget(&[]);
    let own = names(&["a.one.com"]);
    budget.spend(&Spent { at: at(200), names: &own, renews: false });
    assert!(check(&budget, "a.one.com").is_err());
    assert!(budget.check(&own, at(200) + SignedDuration::from_hours(168)).is_ok());
}

#[test]
fn countries_share_their_second_labels() {
    let one = budget(&[(199, names(&["a.one.co.uk"]), false), (199, names(&["b.one.co.uk"]), false)]);
    assert!(check(&one, "c.one.co.uk").is_err());
    assert_eq!(check(&one, "c.two.co.uk"), Ok(()));
    let short = budget(&[(199, names(&["a.x.de"]), false), (199, names(&["b.x.de"]), false)]);
    assert!(check(&short, "x.de").is_err());
}

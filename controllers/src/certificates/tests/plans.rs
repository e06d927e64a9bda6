//! What is done about each need.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::sample::{at, certificate, names, need, settings};
use crate::certificates::budget::Budgets;
use crate::certificates::choice::Health;
use crate::certificates::entry::{CertificateFile, Source, covers};
use crate::certificates::made::Made;
use crate::certificates::need::{Need, Unable};
use crate::certificates::order::Order;
use crate::certificates::plan::{Known, Task, Urgency};
use crate::certificates::trouble::Trouble;
use crate::certificates::why::why;

struct Scene {
    needs: BTreeMap<String, Need>,
    certificates: BTreeMap<String, CertificateFile>,
    orders: BTreeMap<String, Order>,
    hour: i64,
}

const NAME: &str = "a.example.com";

fn scene() -> Scene {
    let needs = [(NAME.to_owned(), need(NAME))].into();
    Scene { needs, certificates: BTreeMap::new(), orders: BTreeMap::new(), hour: 0 }
}

impl Scene {
    fn with(mut self, id: &str, file: CertificateFile, hour: i64) -> Self {
        self.certificates.insert(id.to_owned(), file);
        self.hour = hour;
        self
    }

    fn ordering(mut self, change: impl FnOnce(&mut Order)) -> Self {
        let mut order = Order::new(names(&[NAME]), at(0));
        change(&mut order);
        self.orders.insert(NAME.to_owned(), order);
        self
    }

    fn known(&self) -> Known<'_> {
        Known::new(&self.needs, &self.certificates, &self.orders, at(self.hour))
    }

    fn task(&self) -> Task {
        let known = self.known();
        known.task(NAME, &self.needs[NAME], "ca", &known.budgets(&settings(&["ca"]), &Made::default()))
    }

    fn why(&self) -> String {
        let known = self.known();
        why(&known, NAME, &self.needs[NAME], "ca", &Budgets::default())
    }
}

fn work(urgency: Urgency) -> Task {
    Task::Work { urgency }
}

#[test]
fn a_certificate_that_is_missing_due_or_ending_is_worked_on() {
    assert_eq!(scene().task(), work(Urgency::Missing));
    let file = || certificate(NAME, 2_160);
    assert_eq!(scene().with(NAME, file(), 10).task(), Task::Good { id: NAME.to_owned(), until: at(1_440) });
    assert_eq!(scene().with(NAME, file(), 1_440).task(), work(Urgency::Backstop));
    assert_eq!(scene().with(NAME, file(), 2_100).task(), work(Urgency::Emergency));
}

#[test]
fn what_people_brought_is_as_good_under_any_id() {
    let mut brought = certificate("*.example.com", 2_160);
    brought.source = Source::Added;
    assert_eq!(scene().with("theirs", brought, 10).task(), Task::Good { id: "theirs".to_owned(), until: at(2_052) });
    let other = certificate("b.example.com", 2_160);
    assert_eq!(scene().with("b.example.com", other, 10).task(), work(Urgency::Missing));
}

#[test]
fn an_order_waits_after_a_failure_and_is_over_once_the_certificate_is_there() {
    let failed = scene().ordering(|order| order.fail(&Trouble::of_the_name("no address"), at(0), 0.0));
    let until = at(0) + SignedDuration::from_mins(1);
    assert_eq!(failed.task(), Task::Wait { until, why: "no address".to_owned() });
    // A crash came after the certificate was saved and before the order was removed.
    assert_eq!(scene().ordering(|_| {}).with(NAME, certificate(NAME, 2_160), 1).task(), Task::Done);
}

#[test]
fn our_own_limit_holds_back_orders_and_not_those_that_are_made() {
    let mut full = scene();
    for index in 0..4 {
        let mut file = certificate(NAME, 1);
        file.order = Some(crate::certificates::entry::OrderedAs { at: at(0), url: String::new(), renews: false });
        full = full.with(&format!("old-{index}"), file, 2);
    }
    assert!(matches!(full.task(), Task::Wait { why, .. } if why.contains("4 certificates for the same names")));
    let under_way = full.ordering(|order| {
        let mut attempt = super::orders::attempt();
        attempt.replaces = None;
        order.attempt = Some(attempt);
    });
    assert_eq!(under_way.task(), work(Urgency::Missing));
}

#[test]
fn each_ca_has_its_own_limit_and_an_order_that_goes_on_stays_where_it_is() {
    let mut made = Made::default();
    (0..240).for_each(|_| made.add("second", at(0)));
    let new = scene();
    let under_way = scene().ordering(|order| {
        let mut attempt = super::orders::attempt();
        (attempt.ca, attempt.url) = ("second".to_owned(), None);
        order.attempt = Some(attempt);
    });
    let (settings, health) = (settings(&["first", "second"]), Health::default());
    for (scene, expected) in [(new, "first"), (under_way, "second")] {
        let known = scene.known();
        let ca = known.ca_for(NAME, &scene.needs[NAME], &settings, &health).unwrap();
        assert_eq!(ca.name, expected);
        let task = known.task(NAME, &scene.needs[NAME], &ca.name, &known.budgets(&settings, &made));
        assert_eq!(matches!(task, Task::Wait { why, .. } if why.contains("240 orders")), expected == "second", "{expected}");
    }
}

#[test]
fn what_nobody_needs_goes() {
    let mut scene = scene().ordering(|_| {}).with(NAME, certificate(NAME, 24), 24 + 7 * 24 + 1);
    scene.needs.clear();
    assert_eq!(scene.known().orphans().collect::<Vec<_>>(), [NAME]);
    assert_eq!(scene.known().leftovers().collect::<Vec<_>>(), [NAME]);
    scene.hour = 24;
    assert_eq!(scene.known().leftovers().count(), 0, "it may be wanted again");
}

#[test]
fn why_says_it_in_one_line() {
    let mut unable = scene();
    unable.needs.insert(NAME.to_owned(), Need { way: Err(Unable::NoZone), ..need(NAME) });
    let failed = scene().ordering(|order| {
        order.fail(&Trouble::of_the_name("a.example.com has no address in DNS yet"), at(0), 0.0);
        order.fail(&Trouble::of_the_name("a.example.com has no address in DNS yet"), at(0), 0.0);
    });
    let mut added = certificate(NAME, 2_160);
    added.source = Source::Added;
    for (scene, expected) in [
        (scene(), "a.example.com is about to be ordered"),
        (unable, "a.example.com gets no certificate: a wildcard is proven through DNS"),
        (failed, "(10 min from now), 2 times in a row: a.example.com has no address in DNS yet"),
        (scene().with(NAME, certificate(NAME, 2_160), 10), "(89 days left); it is renewed in 59 days"),
        (scene().with(NAME, added, 10), "who added it renews it"),
        (
            scene().ordering(|order| order.attempt = Some(super::orders::attempt())),
            "is ordered from ca; its proof is being prepared",
        ),
    ] {
        let line = scene.why();
        assert!(line.contains(expected) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn a_star_stands_for_one_label() {
    for (own, name, expected) in [
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "a.b.example.com", false),
        ("*.example.com", "example.com", false),
        ("*.example.com", "*.example.com", true),
        ("a.example.com", "a.example.com", true),
        ("a.example.com", "*.example.com", false),
    ] {
        assert_eq!(covers(&own.parse().unwrap(), &name.parse().unwrap()), expected, "{own} for {name}");
    }
}

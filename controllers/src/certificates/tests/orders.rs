//! What an order does about its trouble.

use jiff::SignedDuration;
use karman_contract::yaml::read_yaml;

use super::sample::{at, names};
use crate::certificates::order::{Attempt, Order};
use crate::certificates::trouble::{Remedy, Trouble};

fn order() -> Order {
    let mut order = Order::new(names(&["a.example.com"]), at(0));
    order.attempt = Some(attempt());
    order
}

/// An order that the CA has.
pub(super) fn attempt() -> Attempt {
    Attempt {
        ca: "ca".to_owned(),
        at: at(0),
        key: "aes256gcm:00000000:AAAA".parse().unwrap(),
        replaces: Some("authority.serial".to_owned()),
        url: Some("https://ca/order/1".to_owned()),
        shown: None,
    }
}

fn trouble(remedy: Remedy, wait: Option<i64>) -> Trouble {
    Trouble { remedy, what: "why".to_owned(), wait: wait.map(SignedDuration::from_hours), of_the_ca: false }
}

#[test]
fn waits_grow_from_a_minute_to_a_day_with_a_little_chance() {
    let mut order = order();
    for minutes in [1, 10, 100, 1_440, 1_440] {
        order.fail(&trouble(Remedy::StartAgain, None), at(0), 0.0);
        assert_eq!(order.not_before, Some(at(0) + SignedDuration::from_mins(minutes)));
    }
    assert!(order.is_failing());
    order.fail(&trouble(Remedy::StartAgain, None), at(0), 1.0);
    assert_eq!(order.not_before, Some(at(24) + SignedDuration::from_mins(144)), "a tenth of chance");
    order.try_now();
    assert_eq!((order.failures, order.waits(at(0))), (0, None));
}

#[test]
fn what_fails_elsewhere_is_tried_again_within_an_hour() {
    let of_the_ca = Trouble { of_the_ca: true, ..trouble(Remedy::StartAgain, None) };
    for trouble in [trouble(Remedy::GoOn, None), of_the_ca] {
        let mut order = order();
        for minutes in [1, 10, 60, 60, 60] {
            order.fail(&trouble, at(0), 0.0);
            assert_eq!(order.not_before, Some(at(0) + SignedDuration::from_mins(minutes)));
        }
    }
}

#[test]
fn a_ca_that_asks_for_a_longer_wait_gets_it() {
    let mut order = order();
    order.fail(&trouble(Remedy::GoOn, Some(5)), at(0), 0.0);
    assert_eq!(order.not_before, Some(at(5)));
    assert!(order.attempt.is_some(), "the order goes on where it was");
    order.fail(&trouble(Remedy::StartAgain, None), at(5), 0.0);
    assert!(order.attempt.is_none(), "a spent order is not looked at again");
}

#[test]
fn a_renewal_that_the_ca_has_seen_is_ordered_anew_once_and_at_once() {
    let mut order = order();
    order.fail(&trouble(Remedy::DropReplaces, None), at(0), 0.0);
    assert_eq!((order.drop_replaces, order.failures, order.waits(at(0))), (true, 0, None));
    order.fail(&trouble(Remedy::DropReplaces, None), at(0), 0.0);
    assert_eq!((order.failures, order.waits(at(0)).is_some()), (1, true), "then it is a failure like any other");
}

#[test]
fn an_order_comes_back_from_the_store_as_it_went() {
    let mut order = order();
    order.fail(&trouble(Remedy::GoOn, Some(1)), at(0), 0.5);
    let text = serde_json::to_string_pretty(&order).unwrap();
    assert_eq!(read_yaml::<Order>("orders/a.example.com.json", &text).unwrap(), order);
}

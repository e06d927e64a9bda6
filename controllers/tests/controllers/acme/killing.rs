//! The controller is killed at every request of an order, and nothing is ordered twice for that.

use super::https::Identity;
use super::pebble::{ACME, HTTP, Pebble, RELAY, own_address};
use super::platform::{Answerer, Platform};
use super::relay::{Cut, Relay, Then};
use crate::program::wait_until;

/// An order takes about a dozen requests; the first one of a process asks for the directory.
const REQUESTS_MAX: usize = 40;

#[test]
fn killed_at_every_request_it_goes_on_where_it_was() {
    killed(true);
}

#[test]
fn killed_before_every_request_it_goes_on_where_it_was() {
    killed(false);
}

fn killed(is_delivered: bool) {
    let mut platform = Platform::new();
    let identity = Identity::for_address(own_address(ACME));
    let _pebble = Pebble::start(platform.dir(), &identity, 0);
    let relay = Relay::start(own_address(RELAY), own_address(ACME), &identity);
    let _answerer = Answerer::start(own_address(HTTP), platform.data("keys"));
    platform.settings(&relay.settings());
    let mut killed = 0;
    for after in 1..REQUESTS_MAX {
        let host = format!("app-{after}.example.com");
        relay.cut(Some(Cut { after, is_delivered, then: Then::Silence }));
        platform.app("one", &[&host]);
        platform.start();
        let id = format!("certificates/{host}");
        wait_until("it is cut or done", || relay.is_cut() || platform.entry(&id).is_some());
        let was_cut = relay.is_cut();
        platform.kill();
        relay.mend();
        platform.start();
        platform.certified(&host);
        platform.kill();
        let log = relay.log.lock().unwrap();
        let lost = if was_cut && is_delivered { 2 } else { 1 };
        let orders = log.orders.get(&host).copied().unwrap_or(0);
        assert!((1..=lost).contains(&orders), "{orders} orders for one need, cut after {after}: {:?}", log.requests);
        assert_eq!(log.finalized, 1, "one certificate for one need, cut after {after}: {:?}", log.requests);
        drop(log);
        killed += usize::from(was_cut);
        if !was_cut {
            break;
        }
    }
    assert!(killed >= 8, "an order has at least that many requests; killed at {killed}");
}

#[test]
fn one_that_stood_by_goes_on_where_the_first_was_killed() {
    let platform = Platform::new();
    let identity = Identity::for_address(own_address(ACME));
    let _pebble = Pebble::start(platform.dir(), &identity, 0);
    let relay = Relay::start(own_address(RELAY), own_address(ACME), &identity);
    let _answerer = Answerer::start(own_address(HTTP), platform.data("keys"));
    platform.settings(&relay.settings());
    let mut first = platform.start_one("controller-0");
    // Else the other one may be the first to ask for the lease.
    first.wait_for("this one works on the certificates");
    let mut killed = 0;
    // Not after every request, since a turn of the lease takes up to two seconds.
    for after in (1..REQUESTS_MAX).step_by(2) {
        let mut second = platform.start_one(&format!("controller-{after}"));
        second.wait_for("this one stands by");
        let host = format!("app-{after}.example.com");
        relay.cut(Some(Cut { after, is_delivered: true, then: Then::Silence }));
        platform.app("one", &[&host]);
        let id = format!("certificates/{host}");
        wait_until("it is cut or done", || relay.is_cut() || platform.entry(&id).is_some());
        let was_cut = relay.is_cut();
        first.kill();
        relay.mend();
        platform.certified(&host);
        let log = relay.log.lock().unwrap();
        let orders = log.orders.get(&host).copied().unwrap_or(0);
        assert!((1..=2).contains(&orders), "{orders} orders for one need, cut after {after}: {:?}", log.requests);
        assert_eq!(log.finalized, 1, "one certificate for one need, cut after {after}: {:?}", log.requests);
        drop(log);
        first = second;
        killed += usize::from(was_cut);
        if !was_cut {
            break;
        }
    }
    assert!(killed >= 4, "an order has at least twice as many requests; killed at {killed}");
}

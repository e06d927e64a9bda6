//! The CA is restarted in the middle of an order: one that comes back with its orders, and one that has forgotten them.

use super::https::Identity;
use super::pebble::{ACME, HTTP, Pebble, RELAY, own_address};
use super::platform::{Answerer, Platform};
use super::relay::{Cut, Relay, Then};
use crate::program::wait_until;

/// An order takes about a dozen requests.
const REQUESTS_MAX: usize = 40;

struct Scene {
    platform: Platform,
    pebble: Pebble,
    relay: Relay,
    _answerer: Answerer,
}

/// With one certificate, so that the account is open.
fn scene() -> Scene {
    let mut platform = Platform::new();
    let identity = Identity::for_address(own_address(ACME));
    let pebble = Pebble::start(platform.dir(), &identity, 0);
    let relay = Relay::start(own_address(RELAY), own_address(ACME), &identity);
    let answerer = Answerer::start(own_address(HTTP), platform.data("keys"));
    platform.settings(&relay.settings());
    platform.start();
    let mut scene = Scene { platform, pebble, relay, _answerer: answerer };
    scene.order("account.example.com", None);
    scene.platform.certified("account.example.com");
    scene
}

impl Scene {
    /// Wants a certificate for a host, from a CA that goes away at the cut. Whether it went before the certificate came.
    fn order(&mut self, host: &str, cut: Option<Cut>) -> bool {
        self.relay.cut(cut);
        self.platform.app(&host.replace('.', "-"), &[host]);
        let (order, certificate) = (format!("orders/{host}"), format!("certificates/{host}"));
        wait_until("it is noted that the CA is gone, or done", || {
            let is_noted = self.platform.entry(&order).is_some_and(|order| order["failures"] == 1);
            is_noted || self.platform.entry(&certificate).is_some() && self.platform.entry(&order).is_none()
        });
        self.relay.is_cut()
    }

    fn try_again(&self, host: &str) {
        assert_eq!(self.platform.verb(&["renew", host]).code, 0);
    }
}

#[test]
fn an_order_goes_on_at_a_ca_that_went_after_any_request_and_knows_it() {
    restarted(true);
}

#[test]
fn an_order_goes_on_at_a_ca_that_went_before_any_request_and_knows_it() {
    restarted(false);
}

fn restarted(is_delivered: bool) {
    let mut scene = scene();
    let mut restarts = 0;
    for after in 1..REQUESTS_MAX {
        let host = format!("app-{after}.example.com");
        let was_cut = scene.order(&host, Some(Cut { after, is_delivered, then: Then::Death }));
        if was_cut {
            let why = scene.platform.verb(&["why", &host]).stdout;
            assert!(why.contains("waits until") && why.lines().count() == 1, "{why}");
            scene.relay.mend();
            scene.try_again(&host);
        }
        scene.platform.certified(&host);
        let log = scene.relay.log.lock().unwrap();
        // Of an order whose making was never answered nobody knows the address.
        let lost = log.requests.get(after - 1).filter(|_| is_delivered).is_some_and(|request| request.contains("/order-plz"));
        let orders = log.orders.get(&host).copied().unwrap_or(0);
        assert_eq!(orders, if lost { 2 } else { 1 }, "orders for one need, gone after {after}: {:?}", log.requests);
        assert_eq!(log.finalized, 1, "certificates for one need, gone after {after}: {:?}", log.requests);
        drop(log);
        restarts += usize::from(was_cut);
        if !was_cut {
            break;
        }
    }
    assert!(restarts >= 8, "an order has at least that many requests; restarted at {restarts}");
}

#[test]
fn an_order_begins_again_at_a_ca_that_forgot_it_in_the_middle() {
    let mut scene = scene();
    let thumbprint = scene.platform.entry("keys/acme-pebble").unwrap()["thumbprints"][0].clone();
    scene.order("measure.example.com", None);
    let made = scene.relay.log.lock().unwrap().requests.iter().position(|request| request.contains("/order-plz")).unwrap();

    let host = "todos.example.com";
    let after = made + 2;
    assert!(scene.order(host, Some(Cut { after, is_delivered: true, then: Then::Death })));
    assert!(scene.platform.entry(&format!("orders/{host}")).unwrap()["attempt"]["url"].is_string(), "it has an address");
    scene.pebble.stop();
    scene.pebble.start_again(scene.platform.dir());
    scene.relay.mend();
    // Twice, because the first try finds out that account and order are gone.
    for _ in 0..2 {
        scene.try_again(host);
        wait_until("a try is over", || {
            scene
                .platform
                .entry(&format!("orders/{host}"))
                .is_none_or(|order| order["failures"] == 1 && order["not_before"].is_string())
        });
    }
    scene.platform.certified(host);
    assert_eq!(scene.platform.entry("keys/acme-pebble").unwrap()["thumbprints"][0], thumbprint, "edges answer as before");
    assert_eq!(scene.pebble.said().matches("Added order").count(), 1, "{}", scene.pebble.said());
}

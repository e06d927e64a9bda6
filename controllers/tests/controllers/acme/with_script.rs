//! What pebble 2.4 does not do: renewal windows, limits with a wait, renewals that were seen already.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::https::{HttpsServer, Identity, root_file};
use super::pebble::own_address;
use super::platform::Platform;
use super::scripted::{Refusal, ScriptedCa};
use crate::program::{PATIENCE, karman, wait_until};

const HOST: &str = "127-0-0-1.sslip.example";

struct Scene {
    platform: Platform,
    ca: ScriptedCa,
    /// The second of the list.
    other: ScriptedCa,
}

/// Names are not looked up: a resolver that answers nothing would be a failure of its own.
fn scene() -> Scene {
    let mut platform = Platform::new();
    let identity = Identity::for_address(own_address(0));
    root_file(&identity, platform.dir());
    let (ca, other) = (ScriptedCa::start(own_address(14000), &identity), ScriptedCa::start(own_address(14001), &identity));
    let entry = |name: &str, ca: &ScriptedCa| json!({"name": name, "directory": format!("https://{}/dir", ca.address), "root": "ca-root.pem"});
    let resolver = platform.resolver(own_address(8053));
    platform.settings(&json!({
        "cas": [entry("first", &ca), entry("second", &other)],
        "resolvers": [resolver],
        "propagation_seconds": 0,
    }));
    platform.app("one", &[HOST]);
    Scene { platform, ca, other }
}

fn refused(status: u16, kind: &'static str, detail: &'static str, retry_after: Option<&'static str>) -> Refusal {
    Refusal { status, kind, detail, retry_after }
}

/// How long an order waits, in minutes from now.
fn waits(platform: &Platform) -> Option<i64> {
    let order = platform.entry(&format!("orders/{HOST}"))?;
    let until: Timestamp = order["not_before"].as_str()?.parse().ok()?;
    Some(Timestamp::now().duration_until(until).as_mins())
}

#[test]
fn the_ca_decides_when_a_certificate_is_renewed() {
    let Scene { mut platform, ca, other } = scene();
    ca.ledger().windows = vec![(-48, -24), (24 * 50, 24 * 52)];
    platform.start();
    wait_until("the renewal is done, and the CA was asked about it", || ca.ledger().asked.len() == 2);
    platform.certified(HOST);
    let ledger = ca.ledger();
    assert_eq!(ledger.replaces, [None, Some(ledger.asked[0].clone())], "the renewal says what it renews");
    drop(ledger);
    wait_until("the window is noted", || {
        platform.entry(&format!("certificates/{HOST}")).is_some_and(|entry| entry["renewal"].is_object())
    });
    let entry = platform.entry(&format!("certificates/{HOST}")).unwrap();
    assert_eq!(entry["order"]["renews"], true);
    let chosen: Timestamp = entry["renewal"]["chosen"].as_str().unwrap().parse().unwrap();
    let days = Timestamp::now().duration_until(chosen) / 24;
    assert!((SignedDuration::from_hours(49)..=SignedDuration::from_hours(52)).contains(&days), "{entry}");
    assert!(other.ledger().replaces.is_empty());
}

#[test]
fn a_renewal_that_the_ca_has_seen_already_is_ordered_once_without_saying_so() {
    let Scene { mut platform, ca, .. } = scene();
    ca.ledger().windows = vec![(-48, -24), (24 * 50, 24 * 52)];
    ca.ledger().renewal_refusals.push_back(refused(409, "alreadyReplaced", "a replacement was ordered before", None));
    platform.start();
    wait_until("the renewal is done, and the CA was asked about it", || ca.ledger().asked.len() == 2);
    platform.certified(HOST);
    let ledger = ca.ledger();
    assert_eq!(ledger.replaces.len(), 3, "{:?}", ledger.replaces);
    assert_eq!((ledger.replaces[1].is_some(), &ledger.replaces[2]), (true, &None));
}

#[test]
fn a_renewal_of_what_another_account_ordered_is_ordered_once_without_saying_so() {
    let Scene { mut platform, ca, .. } = scene();
    ca.ledger().windows = vec![(-48, -24), (24 * 50, 24 * 52)];
    let detail = "requester account did not request the certificate being replaced by this order";
    ca.ledger().renewal_refusals.extend([(); 9].map(|()| refused(403, "unauthorized", detail, None)));
    platform.start();
    wait_until("the renewal is done, and the CA was asked about it", || ca.ledger().asked.len() == 2);
    platform.certified(HOST);
    let ledger = ca.ledger();
    assert_eq!(ledger.replaces.len(), 3, "{:?}", ledger.replaces);
    assert_eq!((ledger.replaces[1].is_some(), &ledger.replaces[2]), (true, &None));
}

#[test]
fn a_wait_that_the_ca_asks_for_is_kept() {
    let Scene { mut platform, ca, other } = scene();
    ca.ledger().refusals.push_back(refused(429, "rateLimited", "too many failed authorizations (5) for this name", Some("3000")));
    platform.start();
    wait_until("the order waits", || waits(&platform).is_some());
    let minutes = waits(&platform).unwrap();
    assert!((49..=55).contains(&minutes), "50 minutes and a tenth of chance, found {minutes}");
    let why = platform.verb(&["why", HOST]).stdout;
    assert!(why.contains("waits until") && why.contains("too many failed authorizations"), "{why}");
    assert_eq!((ca.ledger().replaces.len(), other.ledger().replaces.len()), (1, 0), "nothing was asked meanwhile");
    assert_eq!(platform.verb(&["renew", HOST]).code, 0);
    platform.certified(HOST);
}

#[test]
fn a_wait_in_words_is_kept_too_and_a_page_is_no_answer() {
    let Scene { mut platform, ca, .. } = scene();
    ca.ledger().refusals.push_back(refused(503, "", "", Some("120")));
    platform.start();
    wait_until("the order waits", || waits(&platform).is_some());
    assert!((1..=3).contains(&waits(&platform).unwrap()), "two minutes, found {:?}", waits(&platform));
    let trouble = platform.entry(&format!("orders/{HOST}")).unwrap()["trouble"].clone();
    assert!(trouble.as_str().unwrap().contains("503 Service Unavailable"), "{trouble}");
    platform.kill();

    ca.ledger().refusals.push_back(refused(
        429,
        "rateLimited",
        "too many certificates, retry after 2099-01-01 00:00:00 UTC: see the page",
        None,
    ));
    platform.start();
    assert_eq!(platform.verb(&["renew", HOST]).code, 0);
    wait_until("the order waits for long", || waits(&platform).is_some_and(|minutes| minutes > 1_000_000));
}

#[test]
fn a_ca_that_takes_no_orders_for_hours_is_passed_over() {
    let Scene { mut platform, ca, other } = scene();
    ca.ledger().refusals.push_back(refused(429, "rateLimited", "too many new orders recently", Some("7200")));
    platform.start();
    wait_until("the order waits", || waits(&platform).is_some());
    assert!(waits(&platform).unwrap() <= 1, "the other CA need not wait");
    assert_eq!(platform.verb(&["renew", HOST]).code, 0);
    platform.certified(HOST);
    assert_eq!((ca.ledger().replaces.len(), other.ledger().replaces.len()), (1, 1));
    let entry: Value = platform.entry(&format!("certificates/{HOST}")).unwrap();
    assert_eq!(entry["ca"], "second");
}

#[test]
fn a_ca_that_does_not_answer_holds_up_no_order_at_another() {
    let mut platform = Platform::new();
    let identity = Identity::for_address(own_address(0));
    root_file(&identity, platform.dir());
    let (asked, is_asked) = std::sync::mpsc::channel();
    let silent = HttpsServer::start(own_address(14000), &identity, move |_| {
        asked.send(()).unwrap();
        std::future::pending()
    });
    let other = ScriptedCa::start(own_address(14001), &identity);
    let resolver = platform.resolver(own_address(8053));
    let settings = |name: &str, address: SocketAddr| {
        let ca = json!({"name": name, "directory": format!("https://{address}/dir"), "root": "ca-root.pem"});
        json!({"cas": [ca], "resolvers": [resolver], "propagation_seconds": 0})
    };
    platform.settings(&settings("silent", silent.address));
    platform.app("one", &[HOST]);
    platform.start();
    is_asked.recv_timeout(PATIENCE).expect("the silent CA is asked");
    platform.settings(&settings("other", other.address));
    platform.app("two", &["127-0-0-2.sslip.example"]);
    platform.certified("127-0-0-2.sslip.example");
    let order = platform.entry(&format!("orders/{HOST}")).unwrap_or_default();
    assert_eq!(order["trouble"], Value::Null, "the first one waits for its answer still");
}

#[test]
fn an_account_that_gets_no_other_key_is_not_tried_at_every_change() {
    let Scene { mut platform, ca: _ca, other: _other } = scene();
    platform.start();
    platform.certified(HOST);
    // The CA of the test changes no keys.
    let rotated = karman(platform.dir(), &["keys", "rotate", "first", "--store", "data"]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    wait_until("it is tried", || platform.said().contains("keeps its key"));
    for number in 2..5 {
        let host = format!("127-0-0-{number}.sslip.example");
        platform.app(&format!("app-{number}"), &[&host]);
        platform.certified(&host);
    }
    assert_eq!(platform.said().matches("keeps its key").count(), 1, "{}", platform.said());
}

#[test]
fn a_wish_that_comes_while_an_order_is_under_way_is_tried_at_once() {
    let mut platform = Platform::new();
    let identity = Identity::for_address(own_address(0));
    root_file(&identity, platform.dir());
    let (asked, is_asked) = std::sync::mpsc::channel();
    let open = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&open);
    let dying = HttpsServer::start(own_address(14000), &identity, move |_| {
        asked.send(()).unwrap();
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            None
        }
    });
    let ca = json!({"name": "dying", "directory": format!("https://{}/dir", dying.address), "root": "ca-root.pem"});
    let resolver = platform.resolver(own_address(8053));
    platform.settings(&json!({"cas": [ca], "resolvers": [resolver], "propagation_seconds": 0}));
    platform.app("one", &[HOST]);
    platform.start();
    is_asked.recv_timeout(PATIENCE).expect("the CA is asked");
    let wished = platform.verb(&["renew", HOST]);
    assert!(wished.code == 0 && wished.stdout.contains("is asked for"), "{wished:?}");
    open.add_permits(1);
    // By itself it would wait for a minute.
    is_asked.recv_timeout(PATIENCE).expect("and again");
    open.add_permits(1);
    wait_until("it waits now", || waits(&platform).is_some());
    assert_eq!(platform.entry(&format!("orders/{HOST}")).unwrap()["asked_for"], true, "the wish stands");
}

#[test]
fn an_order_that_failed_counts_for_our_own_limit_over_a_new_start_too() {
    let mut platform = Platform::new();
    let identity = Identity::for_address(own_address(0));
    root_file(&identity, platform.dir());
    let ca = ScriptedCa::start(own_address(14000), &identity);
    let entry = json!({"name": "first", "directory": format!("https://{}/dir", ca.address), "root": "ca-root.pem", "limits": {"orders_per_3_hours": 1}});
    let resolver = platform.resolver(own_address(8053));
    platform.settings(&json!({"cas": [entry], "resolvers": [resolver], "propagation_seconds": 0}));
    platform.app("one", &[HOST]);
    ca.ledger().finalize_refusals.push_back(refused(403, "unauthorized", "not this one", None));
    platform.start();
    wait_until("it failed", || waits(&platform).is_some());
    platform.kill();
    assert_eq!(platform.verb(&["renew", HOST]).code, 0);
    platform.start();
    let why = || platform.verb(&["why", HOST]).stdout;
    wait_until("it waits", || why().contains("our own limit of 1 orders in 3 hours"));
    assert_eq!(ca.ledger().replaces.len(), 1, "no other order was made: {}", why());
}

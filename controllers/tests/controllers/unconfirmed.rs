//! An edge whose publisher is gone: it serves on, says so, and trusts no address that failed.

use std::time::{Duration, Instant};

use karman_faults::Scripted;

use crate::edge::Edge;
use crate::program::wait_until;

/// Longer than a proxy takes to ask a failed instance whether it is back.
const WATCHED: Duration = Duration::from_millis(1_500);

/// Each answer on a connection of its own.
const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

fn is_unconfirmed(edge: &Edge) -> bool {
    edge.try_get("/v1/status").unwrap_or_default()["documents"]["apps"]["unconfirmed"] == true
}

#[test]
fn an_address_that_refused_while_nobody_publishes_gets_no_request_until_somebody_does() {
    let customer = Scripted::answering(HELLO);
    let address = customer.address;
    let app = format!("hosts: [a.test]\ninstances:\n  a-1: {{address: \"{address}\"}}\n");
    let mut edge = Edge::with(&[("apps/a.yaml", &app)]);
    edge.limit("unconfirmed_seconds", 1);
    edge.start_proxy();
    edge.start_publisher();
    edge.wait_until_live();
    edge.kill_publisher();
    wait_until("the apps are unconfirmed", || is_unconfirmed(&edge));
    assert_eq!(edge.page("a.test").status, 200, "they are served on");
    assert!(edge.karman(&["status"]).stdout.contains("UNCONFIRMED"), "{:?}", edge.karman(&["status"]));

    drop(customer);
    assert_eq!(edge.page("a.test").status, 503);
    let stranger = Scripted::answering_at(address, HELLO);
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        assert_eq!(edge.page("a.test").status, 503);
        std::thread::sleep(Duration::from_millis(50));
    }
    let seen = stranger.connections();
    assert_eq!((seen, stranger.count()), (0, 0), "whoever is there now is not even asked");

    edge.start_publisher();
    wait_until("the address is used again", || edge.page("a.test").status == 200);
    assert!(stranger.count() > 0 && !is_unconfirmed(&edge));
}

//! When a socket may go, and what outlives the process.

use super::*;

fn order(after_seconds: u32) -> DrainOrder {
    DrainOrder { scope: DrainScope::Region, after_seconds, sockets_per_second: 10, by: None, why: Some("a test".to_owned()) }
}

#[test]
fn a_socket_goes_when_it_was_left_alone_for_long_enough() {
    let from = 10_000;
    for (opened, gone_at) in [(0, 40_000), (9_999, 40_000), (50_000, 80_000)] {
        assert!(!may_go(opened, &order(30), from, gone_at - 1), "opened at {opened}");
        assert!(may_go(opened, &order(30), from, gone_at), "opened at {opened}");
    }
}

#[test]
fn an_order_outlives_the_process_and_is_taken_back_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let drain = EdgeDrain::open(dir.path());
    assert!(!drain.is_on() && !drain.call_off().unwrap());
    let since = "2026-11-01T10:00:00Z".parse().unwrap();
    drain.order(order(30), since).unwrap();
    drain.order(order(60), Timestamp::now()).unwrap();
    let again = EdgeDrain::open(dir.path());
    assert_eq!(again.standing(), Some(Drain { order: order(60), since }), "the first order's time stands");
    assert!(again.drains_region());
    assert!(again.call_off().unwrap());
    assert!(!EdgeDrain::open(dir.path()).is_on());
}

#[test]
fn an_order_that_cannot_be_read_does_not_stand() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("drain.json"), "{\"scope\":").unwrap();
    assert!(!EdgeDrain::open(dir.path()).is_on());
}

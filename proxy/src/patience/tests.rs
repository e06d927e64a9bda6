//! How long patience lasts (row L02 of `proxy/BAD-INPUT.md`).

use super::*;

const SLOWEST: Slowest = Slowest { grace: Duration::from_secs(30), bytes_per_second: 1_000 };

#[test]
fn whoever_sends_nothing_has_the_grace() {
    let mut patience = Patience::new(SLOWEST);
    assert_eq!(patience.wait(5_000), 35_000);
    assert_eq!(patience.wait(20_000), 35_000, "to ask again gives no more");
}

#[test]
fn a_drip_does_not_renew_it() {
    let mut patience = Patience::new(SLOWEST);
    let mut now = 1_000;
    let end = loop {
        let end = patience.wait(now);
        // One byte a second: earns a millisecond of the thousand that it took.
        now += 1_000;
        if now >= end {
            break end;
        }
        patience.moved(1, || now);
    };
    assert!((31_000..32_000).contains(&end), "{end}");
}

#[test]
fn whoever_keeps_the_rate_goes_on_for_ever() {
    let mut patience = Patience::new(SLOWEST);
    for second in 0..10_000 {
        assert!(patience.wait(second * 1_000) > (second + 1) * 1_000);
        patience.moved(1_000, || (second + 1) * 1_000);
    }
}

#[test]
fn what_was_earned_is_no_more_than_the_grace() {
    let mut patience = Patience::new(SLOWEST);
    patience.moved(1_000_000_000, || 0);
    assert_eq!(patience.wait(0), 30_000, "a large download buys no hour of silence");
}

#[test]
fn a_slow_app_is_not_the_clients_fault() {
    let mut patience = Patience::new(SLOWEST);
    patience.wait(0);
    patience.moved(1, || 29_000);
    // An hour in which we did not wait for the client.
    assert_eq!(patience.wait(3_629_000), 3_630_001);
    patience.start();
    assert_eq!(patience.wait(3_629_500), 3_659_500, "and the next message has all of it");
}

#[test]
fn without_a_rate_only_pauses_count() {
    let mut patience = Patience::new(Slowest { bytes_per_second: 0, ..SLOWEST });
    patience.wait(0);
    patience.moved(1, || 29_000);
    assert_eq!(patience.wait(29_000), 59_000);
}

#[test]
fn a_slow_client_is_left_alone_for_a_share_of_its_slowness() {
    let mut patience = Patience::new(SLOWEST);
    assert_eq!(patience.pause(), Duration::ZERO);
    patience.wait(0);
    patience.moved(0, || 400);
    assert_eq!(patience.pause(), Duration::from_millis(200));
    patience.wait(400);
    patience.moved(1, || 20_000);
    assert_eq!(patience.pause(), Duration::from_millis(9_999) + Duration::from_micros(500), "each byte earns a millisecond");
    patience.moved(20_000, || 20_000);
    assert_eq!(patience.pause(), Duration::ZERO, "who has made up for it is served at once");
}

#[test]
fn who_keeps_the_rate_is_never_left_alone() {
    let mut patience = Patience::new(SLOWEST);
    for piece in 0..1_000 {
        patience.wait(piece * 100);
        patience.moved(100, || (piece + 1) * 100);
        assert_eq!(patience.pause(), Duration::ZERO);
    }
}

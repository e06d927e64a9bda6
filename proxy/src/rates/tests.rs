//! Who is let through, and when again.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_client_has_its_rate_and_a_burst_of_a_second() {
    let rates = Rates::default();
    let asks = |client: &str, millis: u64| rates.allow("a", Counts::Requests, ip(client), 10, Duration::from_millis(millis));
    assert_eq!((0..30).filter(|_| asks("192.0.2.1", 5_000)).count(), 10);
    assert!(asks("192.0.2.2", 5_000), "another has its own");
    assert!(!asks("192.0.2.1", 5_050));
    assert!(asks("192.0.2.1", 5_100), "and a tenth of a second later one more goes");
    assert!(!asks("192.0.2.1", 5_100));
    assert_eq!((0..30).filter(|_| asks("192.0.2.1", 60_000)).count(), 10);
}

#[test]
fn apps_and_what_is_counted_are_apart_and_a_v6_network_is_one_client() {
    let rates = Rates::default();
    let asks = |app, what, client| rates.allow(app, what, ip(client), 1, Duration::from_secs(5));
    assert!(asks("a", Counts::Requests, "2001:db8::1"));
    assert!(!asks("a", Counts::Requests, "2001:db8::2"));
    assert!(asks("a", Counts::Requests, "2001:db8:0:1::2"));
    assert!(asks("b", Counts::Requests, "2001:db8::1"));
    assert!(asks("a", Counts::Sockets, "2001:db8::1"));
    assert!(
        (0..1_000).all(|_| rates.allow("a", Counts::Requests, ip("2001:db8::1"), 0, Duration::from_secs(5))),
        "0 is no limit"
    );
}

#[test]
fn a_full_table_refuses_nobody_for_what_others_did() {
    let rates = Rates::default();
    for n in 0..200_000_u32 {
        let client = IpAddr::from(n.to_be_bytes());
        assert!(rates.allow("a", Counts::Requests, client, 1, Duration::from_secs(5)), "{client} asked once");
    }
}

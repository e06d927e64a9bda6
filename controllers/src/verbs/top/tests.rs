//! What one look says to people, and what becomes of it on a screen.

use karman_contract::load::{AppLoad, Busiest, Load, Rates};
use karman_contract::status::{AppCounts, Edge};

use super::screen::frame;
use super::{bytes, rate, shown};

#[test]
fn numbers_stand_under_one_another_and_what_is_wrong_behind_them() {
    let app = |id: &str, rates, live, codes: &[(&str, f64)]| AppLoad {
        id: id.parse().unwrap(),
        owner: "acme".parse().unwrap(),
        rates,
        live,
        refused_by_code: codes.iter().map(|(code, often)| ((*code).to_owned(), *often)).collect(),
    };
    let total = Rates { requests: 1_240.5, sockets: 31.0, refused: 3.5, failed: 0.0, bytes_in: 950.0, bytes_out: 33_100_000.0 };
    let live = AppCounts { in_flight: 312, sockets: 52_100, ..AppCounts::default() };
    let over =
        AppCounts { queued: 7, held: 1, waiting: 2, over_share: true, in_flight: 312, sockets: 52_100, ..AppCounts::default() };
    let load = Load {
        seconds: 2.003,
        apps: 100_000,
        busy: 57,
        total,
        live,
        nobody: Rates { requests: 0.5, ..Rates::default() },
        busiest: vec![
            app("todos", total, over, &[("over-limit", 0.5), ("queue-full", 3.0)]),
            app("b", Rates { failed: 12.25, ..Rates::default() }, AppCounts::default(), &[]),
        ],
    };
    let edge = Edge { name: "edge-1".to_owned(), region: "eu".to_owned() };
    let wanted = "\
edge-1 in eu: 1240 requests/s, 31 new sockets/s, 312 in flight, 52100 sockets, 950 B/s in, 33.1 MB/s out
57 of 100000 apps are busy; by sockets, over 2 s; 0.5 requests/s for hosts of no app

APP    OWNER  REQ/S  NEW/S  IN FLIGHT  QUEUED  HELD  SOCKETS   IN/S    OUT/S  REFUSED/S  FAILED/S
todos  acme    1240     31        312       7     3    52100  950 B  33.1 MB        3.5         0  over its share, queue-full 3.0, over-limit 0.5
b      acme       0      0          0       0     0        0    0 B      0 B          0        12
";
    assert_eq!(shown(&load, Busiest::Sockets, &edge), wanted);
}

#[test]
fn a_number_is_as_long_as_it_says_something() {
    for (number, as_rate, as_bytes) in [
        (0.0, "0", "0 B"),
        (0.5, "0.5", "0 B"),
        (9.94, "9.9", "10 B"),
        (1_500.4, "1500", "1.5 kB"),
        (2e9, "2000000000", "2.0 GB"),
    ] {
        assert_eq!((rate(number).as_str(), bytes(number).as_str()), (as_rate, as_bytes), "{number}");
    }
}

#[test]
fn a_frame_leaves_nothing_of_the_one_before_and_no_more_than_fits() {
    assert_eq!(frame("one\ntwo is long\n", (24, 5)), "\x1b[Hone\x1b[K\ntwo i\x1b[K\n\x1b[J");
    assert_eq!(frame("one\ntwo\nthree\n", (3, 80)), "\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J");
}

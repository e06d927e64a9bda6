//! The table of facts about Meteor's clients, as far as it is arithmetic.

use super::*;

#[test]
fn retries_come_as_meteors_do() {
    // (retry, least and most seconds); the limit of 300 s is jittered as well.
    let table = [
        (0, 0.01, 0.01),
        (1, 0.01, 0.01),
        (2, 3.63, 6.05),
        (3, 7.98, 13.32),
        (4, 17.5, 29.3),
        (5, 38.6, 64.5),
        (6, 85.0, 141.8),
        (7, 187.0, 311.8),
        (8, 225.0, 375.0),
        (40, 225.0, 375.0),
    ];
    for (count, least, most) in table {
        let [soonest, latest] = [0.0, 1.0].map(|chance| retry_delay(count, chance).as_secs_f64());
        assert!((soonest - least).abs() < 0.01 * least + 1e-6, "retry {count}: {soonest} s at least, wanted {least}");
        assert!((latest - most).abs() < 0.01 * most + 1e-6, "retry {count}: {latest} s at most, wanted {most}");
    }
}

#[test]
fn a_slow_info_buys_patience_for_the_socket() {
    let table = [(0, 600), (20, 640), (100, 800), (101, 808), (1_000, 8_000)];
    for (info, wanted) in table {
        assert_eq!(transport_timeout(Duration::from_millis(info)), Duration::from_millis(wanted), "info took {info} ms");
    }
}

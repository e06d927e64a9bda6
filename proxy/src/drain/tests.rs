//! The pace of a drain, row by row.

use super::*;

#[test]
fn the_pace_is_what_the_takers_admit_and_more_only_to_be_done_in_time() {
    for (tunnels, takers, per_second, left, wanted) in [
        (2_000, 1, 200, 30, 200.0),
        (2_000, 3, 200, 30, 600.0),
        (60_000, 1, 200, 30, 2_000.0),
        (40, 1, 200, 30, 200.0),
        (0, 1, 200, 30, 200.0),
        // Nobody takes them: they wait, until one instance's rate is just enough.
        (2_000, 0, 200, 30, 0.0),
        (2_000, 0, 200, 11, 0.0),
        (2_000, 0, 200, 10, 200.0),
        (2_000, 0, 200, 5, 400.0),
    ] {
        let found = pace(tunnels, takers, per_second, Duration::from_secs(left));
        assert!((found - wanted).abs() < 0.01, "{tunnels} tunnels, {takers} takers, {left} s left: {found}, wanted {wanted}");
    }
    assert!(pace(10, 1, 0, Duration::from_secs(30)).is_infinite(), "no limit asked for");
    assert!(pace(10, 1, 1, Duration::ZERO) >= 200.0, "the time is up: all at once");
}

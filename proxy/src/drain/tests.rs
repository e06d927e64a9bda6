//! The pace of a drain, row by row.

use super::steps::due;
use super::*;

#[test]
fn the_pace_is_what_the_takers_admit_and_more_only_to_be_done_in_time() {
    for (tunnels, takes, ease, per_second, left, wanted) in [
        (2_000, Some(200.0), 1.0, 200, 30, 200.0),
        (2_000, Some(600.0), 1.0, 200, 30, 600.0),
        (60_000, Some(200.0), 1.0, 200, 30, 2_000.0),
        (40, Some(200.0), 1.0, 200, 30, 200.0),
        (0, Some(200.0), 1.0, 200, 30, 200.0),
        // A newborn takes a tenth.
        (2_000, Some(20.0), 1.0, 200, 30, 20.0),
        // The takers are strained: slower, or not at all, until one instance's rate is just enough.
        (2_000, Some(200.0), 0.25, 200, 30, 50.0),
        (2_000, Some(200.0), 0.0, 200, 30, 0.0),
        (2_000, Some(200.0), 0.0, 200, 10, 200.0),
        // Nobody takes them: the same.
        (2_000, None, 1.0, 200, 30, 0.0),
        (2_000, None, 1.0, 200, 11, 0.0),
        (2_000, None, 1.0, 200, 10, 200.0),
        (2_000, None, 1.0, 200, 5, 400.0),
        // No limit was asked for, and nobody is there: at the end of the time all at once, and not before.
        (100, None, 1.0, 0, 1, 0.0),
        (100, None, 1.0, 0, 0, 1_000.0),
    ] {
        let found = pace(tunnels, takes, ease, f64::from(per_second), Duration::from_secs(left));
        assert!((found - wanted).abs() < 0.01, "{tunnels}, {takes:?}, {ease}, {per_second}, {left} s: {found}, wanted {wanted}");
    }
    assert!(pace(10, Some(0.0), 1.0, 0.0, Duration::from_secs(30)).is_infinite(), "no limit asked for");
    assert!(pace(10, Some(1.0), 1.0, 1.0, Duration::ZERO) >= 100.0, "the time is up: all at once");
}

#[test]
fn strain_slows_a_drain_down_and_stops_it() {
    for (backlog_ms, connect_share, refusing, wanted) in [
        (0, 0.0, false, 1.0),
        (0, 0.05, false, 1.0),
        (0, 0.15, false, 0.5),
        (0, 0.25, false, 0.0),
        (0, 2.0, false, 0.0),
        (500, 0.0, false, 0.5),
        (1_000, 0.0, false, 0.0),
        (60_000, 0.0, false, 0.0),
        (500, 0.15, false, 0.5),
        (0, 0.0, true, 0.0),
    ] {
        let strain = Strain { backlog: Duration::from_millis(backlog_ms), connect_share, refusing };
        assert!((strain.ease() - wanted).abs() < 0.001, "{strain:?}: {}, wanted {wanted}", strain.ease());
    }
}

#[test]
fn a_step_closes_its_share_and_what_it_could_not_is_not_made_up() {
    // Rate, milliseconds since the step before, tunnels there are; closed, and what is owed of the next. Chance 0.5 is no jitter.
    for (rate, since, most, closed, left) in [
        (200.0, 100, 1_000, 20, 0.0),
        (25.0, 100, 1_000, 2, 0.5),
        (5.0, 100, 1_000, 0, 0.5),
        (0.0, 100, 1_000, 0, 0.0),
        // Late: two steps' share at most.
        (200.0, 5_000, 1_000, 40, 0.0),
        // There were not so many.
        (200.0, 100, 3, 3, 1.0),
        (200.0, 100, 0, 0, 1.0),
        // No limit.
        (f64::INFINITY, 100, 1_000, 1_000, 1.0),
        (f64::INFINITY, 0, 1_000, 0, 0.0),
    ] {
        let mut owed = 0.0;
        let found = due(&mut owed, rate, Duration::from_millis(since), 0.5, most);
        assert_eq!(found, closed, "{rate} a second, {since} ms, of {most}");
        assert!((owed - left).abs() < 1e-9, "{rate} a second, {since} ms, of {most}: {owed} is owed, wanted {left}");
    }
}

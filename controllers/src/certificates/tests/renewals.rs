//! When certificates are renewed.

use jiff::SignedDuration;

use super::sample::{at, certificate};
use crate::certificates::entry::{RenewalWindow, Source};
use crate::certificates::renewal::{ASK_EVERY, Due, asks_now, due, window};

const DAY: i64 = 24;

#[test]
fn a_share_of_the_life_decides_where_the_ca_says_nothing() {
    for (life, due_at, emergency_at) in [(90 * DAY, 60 * DAY, 2052), (45 * DAY, 30 * DAY, 1026), (160, 80, 152), (24, 12, 23)] {
        let file = certificate("a.example.com", life);
        assert_eq!(due(&file, at(due_at - 1)), Err(at(due_at)), "{life} h");
        assert_eq!(due(&file, at(due_at)), Ok(Due::Backstop), "{life} h");
        assert_eq!(due(&file, at(emergency_at)), Ok(Due::Emergency), "{life} h");
    }
}

#[test]
fn the_ca_may_want_it_sooner_and_never_later() {
    let mut file = certificate("a.example.com", 90 * DAY);
    let window_at = |from: i64, to: i64, chance| window(None, (at(from), at(to)), SignedDuration::from_hours(6), at(0), chance);
    file.renewal = Some(window_at(100, 200, 0.5));
    assert_eq!((due(&file, at(149)), due(&file, at(150))), (Err(at(150)), Ok(Due::Window)));

    file.renewal = Some(window_at(-20, -10, 0.5));
    assert_eq!(due(&file, at(0)), Ok(Due::Window), "a window in the past: renew now");

    file.renewal = Some(window_at(80 * DAY, 85 * DAY, 0.5));
    assert_eq!(due(&file, at(60 * DAY)), Ok(Due::Backstop), "the CA wants it too late");
}

#[test]
fn the_moment_stays_while_the_window_does() {
    let first = window(None, (at(0), at(100)), SignedDuration::from_hours(6), at(0), 0.25);
    let same = window(Some(first), (at(0), at(100)), SignedDuration::from_hours(6), at(1), 0.75);
    let moved = window(Some(first), (at(0), at(40)), SignedDuration::from_hours(6), at(1), 0.75);
    assert_eq!((first.chosen, same.chosen, moved.chosen), (at(25), at(25), at(30)));
    assert_eq!(same.ask_at, at(7));
}

#[test]
fn the_ca_is_asked_when_it_said_and_twice_a_day() {
    let again = |retry| window(None, (at(0), at(1)), retry, at(0), 0.0).ask_at;
    assert_eq!(again(SignedDuration::from_hours(1_000)), at(0) + ASK_EVERY);
    assert_eq!(again(SignedDuration::ZERO), at(0) + SignedDuration::from_mins(1), "and not all the time");

    let mut file = certificate("a.example.com", 90 * DAY);
    assert!(asks_now(&file, at(0)));
    file.renewal = Some(RenewalWindow { start: at(1), end: at(2), chosen: at(1), ask_at: at(6) });
    assert!(!asks_now(&file, at(5)) && asks_now(&file, at(6)));
    file.source = Source::Added;
    assert!(!asks_now(&file, at(6)));
}

#[test]
fn what_a_person_added_is_theirs_until_shortly_before_its_end() {
    let mut file = certificate("a.example.com", 100 * DAY);
    file.source = Source::Added;
    assert_eq!(due(&file, at(90 * DAY)), Err(at(95 * DAY)));
    assert_eq!(due(&file, at(95 * DAY)), Ok(Due::Emergency));
    file.source = Source::Imported;
    assert_eq!(due(&file, at(90 * DAY)), Ok(Due::Backstop), "what was imported is renewed");
}

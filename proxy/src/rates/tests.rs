//! Who is let through, and when again.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const NONE: Duration = Duration::ZERO;

fn rate(per_second: u32) -> Rate {
    Rate::per_second(per_second, SECOND).unwrap()
}

#[test]
fn a_key_has_its_rate_and_a_burst_of_a_second() {
    let rates = Rates::new(64);
    let asks = |key: &str, millis: u64| rates.book(key, rate(10), Duration::from_millis(millis), NONE) != Booking::TooLate;
    assert_eq!((0..30).filter(|_| asks("one", 5_000)).count(), 10);
    assert!(asks("other", 5_000), "another has its own");
    assert!(!asks("one", 5_050));
    assert!(asks("one", 5_100), "and a tenth of a second later one more goes");
    assert!(!asks("one", 5_100));
    assert_eq!((0..30).filter(|_| asks("one", 60_000)).count(), 10);
    assert_eq!(Rate::per_second(0, SECOND), None, "0 is no limit");
}

#[test]
fn a_turn_that_is_waited_for_is_booked_and_one_that_is_too_late_is_not() {
    let rates = Rates::new(64);
    let book = |patience| rates.book("key", rate(10), SECOND * 5, Duration::from_millis(patience));
    assert!((0..10).all(|_| book(0) == Booking::After(NONE)));
    assert_eq!(book(99), Booking::TooLate);
    assert_eq!(book(100), Booking::After(Duration::from_millis(100)));
    assert_eq!(book(100), Booking::TooLate);
    assert_eq!(book(1_000), Booking::After(Duration::from_millis(200)));
}

#[test]
fn one_goes_at_once_however_slow_the_rate_is() {
    let rates = Rates::new(64);
    let hourly = Rate { every: SECOND * 3_600, burst: NONE };
    let book = |seconds| rates.book("key", hourly, SECOND * seconds, NONE);
    assert_eq!(book(100), Booking::After(NONE));
    assert_eq!(book(3_699), Booking::TooLate);
    assert_eq!(book(3_700), Booking::After(NONE));
}

#[test]
fn a_full_table_says_so_and_holds_up_nobody_for_what_others_did() {
    let rates = Rates::new(16_384);
    let count = |turn| (0..200_000_u32).filter(|key| rates.book(key, rate(1), SECOND * 5, NONE) == turn).count();
    let full = count(Booking::NoRoom);
    assert!((183_616..200_000).contains(&full), "all but those that there is room for: {full}");
    assert_eq!(rates.book("late", rate(1), SECOND * 60, NONE), Booking::After(NONE), "who has paid makes room");
}

//! Admission over simulated time.

use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_herd_is_let_in_at_the_rate_after_a_first_few() {
    let admission = Admission::default();
    // 2,000 come at once; each is told its moment.
    let mut moments: Vec<f64> =
        (0..2_000).map(|_| admission.book(seconds(10.0), 200.0, seconds(60.0)).unwrap().as_secs_f64()).collect();
    moments.sort_by(f64::total_cmp);
    let at_once = moments.iter().filter(|moment| **moment == 0.0).count();
    assert!((50..=51).contains(&at_once), "{at_once} at once");
    let last = moments.last().unwrap();
    assert!((9.7..10.0).contains(last), "the last after {last} s");
    for window in moments.windows(253) {
        assert!(window[252] - window[0] > 1.0, "never more than the rate and a burst within a second");
    }
}

#[test]
fn who_would_wait_too_long_is_refused_and_takes_no_place() {
    let admission = Admission::default();
    let now = seconds(1.0);
    let admitted = (0..100).filter(|_| admission.book(now, 10.0, seconds(5.0)).is_some()).count();
    assert!((52..=54).contains(&admitted), "5 s at 10 a second, and a burst: {admitted}");
    // Those who were refused booked nothing: as time goes on there is room at once.
    assert!(admission.book(now + seconds(1.0), 10.0, seconds(5.0)).is_some());
}

#[test]
fn a_steady_stream_below_the_rate_never_waits() {
    let admission = Admission::default();
    for n in 0..1_000 {
        assert_eq!(admission.book(seconds(1.0 + f64::from(n) * 0.011), 100.0, Duration::ZERO), Some(Duration::ZERO));
    }
    assert_eq!(admission.book(Duration::ZERO, 0.0, Duration::ZERO), Some(Duration::ZERO), "no limit");
}

//! Admission over simulated time.

use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Books at these moments, and says when each goes in.
fn let_in(come: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    let admission = Admission::default();
    let book = |(at, per_second)| {
        let wait = admission.book(seconds(at), per_second, seconds(3_600.0));
        at + wait.unwrap().as_secs_f64()
    };
    come.map(book).collect()
}

/// The most within a second, both ends counted.
fn most_within_a_second(moments: &[f64]) -> usize {
    let within = |first: usize| moments[first..].iter().take_while(|moment| **moment <= moments[first] + 1.0).count();
    (0..moments.len()).map(within).max().unwrap_or(0)
}

#[test]
fn a_herd_is_let_in_no_later_than_its_size_over_the_rate() {
    let moments = let_in((0..2_000).map(|_| (10.0, 200.0)));
    assert_eq!(most_within_a_second(&moments), 200);
    let last = moments.last().unwrap() - 10.0;
    assert!((9.7..10.0).contains(&last), "the last after {last} s");
    for two in moments.windows(2) {
        assert!(two[1] - two[0] > 0.003, "one after the other: {two:?}");
    }
}

#[test]
fn however_they_come_no_second_has_more_than_the_rate() {
    let mut random = fastrand::Rng::with_seed(7);
    for per_second in [1.0, 3.0, 20.0, 200.0, 999.0] {
        for _ in 0..20 {
            // Calms, trickles and herds, one after the other.
            let mut at = 1.0;
            let come: Vec<f64> = (0..3_000)
                .map(|_| {
                    at += match random.u32(..100) {
                        0 => random.f64() * 3.0,
                        1..50 => random.f64() * 2.0 / per_second,
                        _ => 0.0,
                    };
                    at
                })
                .collect();
            let moments = let_in(come.iter().map(|at| (*at, per_second)));
            let most = most_within_a_second(&moments);
            assert!(most <= per_second as usize, "{most} within a second, where {per_second} are allowed");
            assert!(moments.is_sorted(), "in the order of coming");
        }
    }
}

#[test]
fn a_rate_that_rises_or_falls_counts_what_went_in_before() {
    let rising: Vec<f64> = (0..500).map(|n| f64::from(20 + n)).collect();
    let falling: Vec<f64> = (0..500).map(|n| f64::from(520 - n)).collect();
    for rates in [rising, falling] {
        let moments = let_in(rates.iter().map(|rate| (1.0, *rate)));
        for (n, (moment, rate)) in moments.iter().zip(&rates).enumerate() {
            let second = moments[..=n].iter().filter(|before| **before >= moment - 1.0).count();
            assert!(second as f64 <= *rate, "{second} within the second before the one that came at a rate of {rate}");
        }
    }
}

#[test]
fn who_would_wait_too_long_is_refused_and_takes_no_place() {
    let admission = Admission::default();
    let now = seconds(1.0);
    let admitted = (0..100).filter(|_| admission.book(now, 10.0, seconds(5.0)).is_some()).count();
    assert!((50..=54).contains(&admitted), "5 s at 10 a second: {admitted}");
    assert!(admission.backlog(now) <= seconds(5.0));
    // Those who were refused booked nothing: as time goes on there is room at once.
    assert!(admission.book(now + seconds(1.0), 10.0, seconds(5.0)).is_some());
}

#[test]
fn a_moment_that_was_given_back_is_for_who_comes_next() {
    let (admission, now) = (Admission::default(), seconds(1.0));
    let waits: Vec<_> = (0..50).map(|_| admission.book(now, 10.0, seconds(5.0)).unwrap()).collect();
    assert_eq!(admission.book(now, 10.0, seconds(4.0)), None);
    let backlog = admission.backlog(now);
    admission.give_back(now + waits[40]);
    admission.give_back(now + waits[20]);
    assert_eq!(admission.backlog(now), waits[20], "that of who comes next");
    assert_eq!(admission.book(now, 10.0, seconds(0.1)), None, "it is still too far off for some");
    let later = seconds(0.5);
    assert_eq!(admission.book(now + later, 10.0, seconds(4.0)), Some(waits[20] - later));
    let past = waits[40] + seconds(0.001);
    let next = past + admission.book(now + past, 10.0, seconds(9.0)).unwrap();
    assert!(next > backlog, "nobody came for the other in time: {next:?}");
}

#[test]
fn however_many_leave_no_second_has_more_than_the_rate() {
    let mut random = fastrand::Rng::with_seed(7);
    let (admission, mut at, mut booked) = (Admission::default(), 1.0, Vec::new());
    for _ in 0..5_000 {
        at += random.f64() * 0.1;
        if let Some(wait) = admission.book(seconds(at), 20.0, seconds(8.0)) {
            booked.push(seconds(at) + wait);
        }
        let leaves = booked.len().saturating_sub(random.usize(..200));
        if booked.get(leaves).is_some_and(|due| *due > seconds(at)) {
            admission.give_back(booked.swap_remove(leaves));
        }
    }
    booked.sort();
    let moments: Vec<_> = booked.iter().map(Duration::as_secs_f64).collect();
    assert!(
        moments.len() > 3_000 && most_within_a_second(&moments) <= 20,
        "{} of {}",
        most_within_a_second(&moments),
        moments.len()
    );
}

#[test]
fn a_steady_stream_below_the_rate_never_waits() {
    let admission = Admission::default();
    for n in 0..1_000 {
        assert_eq!(admission.book(seconds(1.0 + f64::from(n) * 0.011), 100.0, Duration::ZERO), Some(Duration::ZERO));
    }
    assert!(lock(&admission.0).as_ref().unwrap().moments.len() <= 100, "no more is remembered than a second's");
    assert_eq!(admission.book(Duration::ZERO, 0.0, Duration::ZERO), Some(Duration::ZERO), "no limit");
}

#[test]
fn less_than_one_a_second_is_a_rate_too() {
    let moments = let_in((0..5).map(|_| (1.0, 0.5)));
    let expected = [1.0, 3.04, 5.08, 7.12, 9.16];
    assert!(moments.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 0.001), "{moments:?}");
}

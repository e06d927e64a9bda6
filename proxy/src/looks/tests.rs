//! How the looks at slow clients share a thread's time (row L02 of `proxy/BAD-INPUT.md`).

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_look_comes_at_the_first_step_from_when_it_is_due() {
    let mut looks = Looks::new();
    assert_eq!(looks.book(1_000, 1_000, Look::Unusable), 1_000);
    assert_eq!(looks.book(1_000, 1_101, Look::Unusable), 1_120);
}

#[test]
fn those_of_a_step_cost_no_more_than_it_may() {
    for look in [Look::Unusable, Look::Piece, Look::Request] {
        let mut looks = Looks::new();
        let mut steps: BTreeMap<u64, u32> = BTreeMap::new();
        for _ in 0..400 {
            *steps.entry(looks.book(5_000, 5_003, look)).or_default() += look.cost();
        }
        assert!(steps.values().all(|cost| *cost <= STEP_COST), "{look:?}: {steps:?}");
        let (first, last) = (*steps.keys().next().unwrap(), *steps.keys().last().unwrap());
        assert_eq!(first, 5_020);
        let full = 400_u64.div_ceil(u64::from(STEP_COST / look.cost())) * STEP_MILLIS;
        assert_eq!(last, 5_000 + full, "{look:?}: and none waits while there is time");
    }
}

#[test]
fn none_is_put_off_for_ever() {
    let mut looks = Looks::new();
    let latest = (0..100_000).map(|_| looks.book(0, 0, Look::Request)).max();
    assert_eq!(latest, Some((STEPS - 1) * STEP_MILLIS));
    assert_eq!(looks.book(0, 1_000_000, Look::Unusable), (STEPS - 1) * STEP_MILLIS, "nor is one that is due much later");
}

#[test]
fn a_step_that_has_passed_counts_no_more() {
    let mut looks = Looks::new();
    while looks.book(0, 0, Look::Request) < 500 {}
    assert_eq!(looks.book(600, 600, Look::Request), 600);
    while looks.book(600, 600, Look::Piece) < 2_000 {}
    // Much later than all that was booked.
    assert_eq!(looks.book(3_600_000, 3_600_000, Look::Request), 3_600_000);
}

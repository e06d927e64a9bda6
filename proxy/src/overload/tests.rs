//! When the edge is full, and whose share is how large.

use proptest::prelude::*;

use super::*;

#[test]
fn a_level_is_reached_at_its_mark_and_left_below_it() {
    let next = |before: Level, used: f64| before.next(used, 0.8, 0.9);
    assert_eq!(next(Level::Calm, 0.79), Level::Calm);
    assert_eq!(next(Level::Calm, 0.8), Level::Tight);
    assert_eq!(next(Level::Tight, 0.76), Level::Tight);
    assert_eq!(next(Level::Tight, 0.74), Level::Calm);
    assert_eq!(next(Level::Calm, 0.95), Level::Full);
    assert_eq!(next(Level::Full, 0.86), Level::Full);
    assert_eq!(next(Level::Full, 0.84), Level::Tight);
    assert_eq!(next(Level::Full, 0.1), Level::Calm);
}

#[test]
fn only_who_has_most_gives() {
    for (used, budget, share) in [
        (vec![10, 20, 900], 800, 770),
        (vec![500, 500], 800, 400),
        (vec![100, 500, 500], 800, 350),
        (vec![1_000], 800, 800),
        (vec![10, 20, 30], 800, usize::MAX),
        (vec![], 800, usize::MAX),
    ] {
        assert_eq!(fair_share(used.clone(), budget), share, "{used:?}");
    }
}

proptest! {
    #[test]
    fn shares_fit_the_budget_and_spare_the_small(used in prop::collection::vec(0_usize..1_000, 0..20), budget in 0_usize..5_000) {
        let share = fair_share(used.clone(), budget);
        prop_assert!(used.iter().map(|one| (*one).min(share)).sum::<usize>() <= budget);
        // Who has no more than an equal part of everything is never over.
        if let Some(equal) = budget.checked_div(used.len()) {
            prop_assert!(share >= equal);
        }
    }
}

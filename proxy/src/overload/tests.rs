//! When the edge is full, and whose share is how large.

use proptest::prelude::*;

use super::*;

#[test]
fn a_level_is_reached_at_its_mark_and_left_below_it() {
    let next = |before: Level, used: f64| before.next(used, Marks { tight: 0.8, full: 0.9, spent: 0.95 });
    assert_eq!(next(Level::Calm, 0.79), Level::Calm);
    assert_eq!(next(Level::Calm, 0.8), Level::Tight);
    assert_eq!(next(Level::Tight, 0.76), Level::Tight);
    assert_eq!(next(Level::Tight, 0.74), Level::Calm);
    assert_eq!(next(Level::Calm, 0.94), Level::Full);
    assert_eq!(next(Level::Calm, 0.95), Level::Spent);
    assert_eq!(next(Level::Spent, 0.91), Level::Spent);
    assert_eq!(next(Level::Spent, 0.89), Level::Full);
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

#[test]
fn those_give_sockets_who_have_most_too_many_and_none_gives_more_than_that() {
    for (owners, gives) in [
        (&[(30, 100), (10, 100)][..], &[30, 10][..]),
        (&[(10, 100), (80, 100)], &[0, 50]),
        (&[(80, 20), (80, 100)], &[20, 30]),
        (&[(5, 0)], &[0]),
        (&[], &[]),
    ] {
        assert_eq!(who_gives(owners, 50), gives, "{owners:?}");
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

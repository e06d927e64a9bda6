//! A whole run ends in time, and what was asked for is done.

use super::*;

#[test]
fn a_whole_run_begins_no_further_round_when_it_has_taken_long() {
    let whole = Plan { scale: 1.0, rounds: None, only: Vec::new(), out: PathBuf::new() };
    let asked = Plan { rounds: Some(3), ..whole.clone() };
    let (early, late) = (Duration::from_secs(60), LAST_BEGINS);
    assert!(may_begin(1, late, &whole), "every scenario has its first round");
    assert!(may_begin(2, early, &whole));
    assert!(!may_begin(2, late, &whole));
    assert!(may_begin(3, late, &asked));
}

#[test]
fn the_rounds_of_each_scenario_are_spread_over_the_run() {
    let expected = [(2, 1), (0, 1), (2, 2), (1, 1), (2, 3), (2, 4), (0, 2), (2, 5)];
    assert_eq!(order(&[2, 1, 5]), expected);
    assert_eq!(order(&[2, 2]), [(0, 1), (1, 1), (0, 2), (1, 2)], "those that want as many take turns");
}

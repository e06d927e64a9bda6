//! What counts as a change between two runs, and what is their noise.

use super::*;

fn spread(rounds: &[f64]) -> Spread {
    Spread::of(rounds.to_vec()).unwrap()
}

/// What is said of two rounds in the one run and two in the other.
fn check(old: [f64; 2], new: [f64; 2], unit: Unit, wanted: Option<Change>) {
    assert_eq!(change(spread(&old), spread(&new), unit, 0.1), wanted, "{old:?} -> {new:?} {unit:?}");
}

#[test]
fn a_change_is_what_is_further_apart_than_both_spreads_and_the_tolerance() {
    check([100.0, 102.0], [130.0, 132.0], Unit::Microseconds, Some(Change::Worse));
    check([130.0, 132.0], [100.0, 102.0], Unit::Microseconds, Some(Change::Better));
    check([100.0, 102.0], [130.0, 132.0], Unit::PerSecond, Some(Change::Better));
    check([130.0, 132.0], [100.0, 102.0], Unit::PerSecond, Some(Change::Worse));
    // Nothing was lost before.
    check([0.0, 0.0], [3.0, 3.0], Unit::Count, Some(Change::Worse));
    check([0.0, 0.0], [0.0, 0.0], Unit::Count, None);
    // Neither more nor fewer are better.
    check([100.0, 102.0], [500.0, 502.0], Unit::Number, None);
    // Apart, but by less than the tolerance.
    check([100.0, 100.0], [109.0, 109.0], Unit::Kilobytes, None);
    // They do not overlap, and one of them spreads as far as they are apart.
    check([100.0, 102.0], [110.0, 150.0], Unit::Milliseconds, None);
}

/// So many rounds of one figure that is `median` in truth, and that noise moves by some percent each time.
fn measured(noise: &mut fastrand::Rng, rounds: usize, median: f64) -> Spread {
    let mut round = || {
        let bell = (0..4).map(|_| noise.f64() - 0.5).sum::<f64>();
        median * (1.0 + 0.1 * bell)
    };
    spread(&(0..rounds).map(|_| round()).collect::<Vec<_>>())
}

#[test]
fn two_runs_of_the_same_agree_and_more_rounds_find_smaller_changes() {
    let mut noise = fastrand::Rng::with_seed(7);
    let mut differ = |rounds, factor: f64, tolerance| {
        let count = |_: &u32| {
            let (old, new) = (measured(&mut noise, rounds, 100.0), measured(&mut noise, rounds, 100.0 * factor));
            change(old, new, Unit::Microseconds, tolerance).is_some()
        };
        (0..1_000).filter(count).count()
    };
    for rounds in [3, 5] {
        let same = differ(rounds, 1.0, 0.0);
        assert!(same <= 20, "{same} of 1,000 figures of {rounds} rounds that are the same are said to differ");
    }
    for (rounds, factor, least) in [(3, 1.5, 950), (5, 1.5, 1_000), (5, 1.2, 800)] {
        let found = differ(rounds, factor, 0.1);
        assert!(found >= least, "{found} of 1,000 figures of {rounds} rounds that are {factor} times as much are found");
    }
}

fn run_of(turns: &[(&str, f64)]) -> Results {
    Results::of_figure("CPU", Unit::Microseconds, turns)
}

#[test]
fn the_others_say_how_much_the_machine_itself_changed() {
    let then = run_of(&[("karman", 100.0), ("karman-plain", 100.0), ("nginx", 60.0), ("haproxy", 50.0), ("go", 0.0)]);
    let now = run_of(&[("karman", 130.0), ("karman-plain", 200.0), ("nginx", 78.0), ("haproxy", 65.0), ("go", 9.0)]);
    // Neither what is ours nor what was nothing counts.
    assert!((drift(&then, &now, "karman", "CPU").median - 1.3).abs() < 1e-9);
    assert!((drift(&then, &now, "nginx", "CPU").median - 1.3).abs() < 1e-9);
    let alone = run_of(&[("karman", 100.0)]);
    assert!((drift(&alone, &run_of(&[("karman", 200.0)]), "karman", "CPU").median - 1.0).abs() < 1e-9);
}

#[test]
fn where_the_others_disagree_on_the_machine_a_change_counts_by_each_of_them() {
    let (then, now) = (
        run_of(&[("karman", 100.0), ("nginx", 10.0), ("haproxy", 10.0), ("envoy", 10.0), ("go", 10.0), ("caddy", 10.0)]),
        run_of(&[("karman", 200.0), ("nginx", 10.0), ("haproxy", 11.0), ("envoy", 13.0), ("go", 18.0), ("caddy", 30.0)]),
    );
    let drift = drift(&then, &now, "karman", "CPU");
    assert!(
        (drift.least - 1.1).abs() < 1e-9 && (drift.median - 1.3).abs() < 1e-9 && (drift.most - 1.8).abs() < 1e-9,
        "{drift:?}"
    );
    for (new, wanted) in [(200.0, Some(Change::Worse)), (170.0, None), (130.0, None), (105.0, None), (90.0, Some(Change::Better))]
    {
        let found = beside(drift, spread(&[100.0; 3]), spread(&[new; 3]), Unit::Microseconds, 0.1);
        assert_eq!(found, wanted, "100 -> {new}");
    }
}

//! A row where Karman is behind says why, or that nobody knows yet; a remark is about a figure that exists.

use std::path::Path;

use super::*;
use crate::report::newest;
use crate::scenarios;

/// Two rounds of one figure each.
fn results(figure: &str, unit: Unit, ours: [f64; 2], theirs: [f64; 2]) -> Results {
    let turns = [("karman", ours[0]), ("karman", ours[1]), ("nginx", theirs[0]), ("nginx", theirs[1])];
    Results::of_figure(figure, unit, &turns)
}

#[test]
fn a_row_where_karman_is_behind_says_why_or_that_it_is_not_explained() {
    let behind = "Behind in *CPU a request* (nginx): ";
    let cases = [
        (Unit::Microseconds, [110.0, 120.0], [70.0, 80.0], true),
        (Unit::Microseconds, [70.0, 80.0], [110.0, 120.0], false),
        (Unit::PerSecond, [70.0, 80.0], [110.0, 120.0], true),
        // They overlap.
        (Unit::Microseconds, [90.0, 120.0], [70.0, 91.0], false),
        // Less than a twentieth.
        (Unit::Microseconds, [102.0, 103.0], [100.0, 101.0], false),
        (Unit::Number, [110.0, 120.0], [70.0, 80.0], false),
    ];
    for (unit, ours, theirs, is_behind) in cases {
        let results = results("CPU a request", unit, ours, theirs);
        let (bare, told) = (markdown(&results, &[]), markdown(&results, &[("CPU", "it is so")]));
        assert_eq!(bare.contains(&format!("{behind}{UNEXPLAINED}\n")), is_behind, "{bare}");
        assert_eq!(told.contains(&format!("{behind}it is so\n")), is_behind, "{told}");
    }
}

#[test]
fn rows_with_the_same_reason_share_a_line() {
    let turns = [("karman", 2.0), ("nginx", 1.0)];
    let mut results = Results::of_figure("one p50", Unit::Milliseconds, &turns);
    let more = Results::of_figure("one p99", Unit::Milliseconds, &turns);
    for (turn, more) in results.turns.iter_mut().zip(more.turns) {
        turn.reading.values.extend(more.reading.values);
    }
    let page = markdown(&results, &[("one", "it is so")]);
    assert!(page.contains("Behind in *one p50* (nginx); *one p99* (nginx): it is so\n"), "{page}");
}

#[test]
fn a_remark_about_no_figure_is_seen() {
    let results = results("CPU a request", Unit::Microseconds, [1.0, 1.0], [2.0, 2.0]);
    let page = markdown(&results, &[("CPU a reqest", "misspelt")]);
    assert!(page.contains("A remark is about 'CPU a reqest'"), "{page}");
}

#[test]
fn every_remark_is_about_a_figure_of_the_newest_committed_results() {
    let folder = newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results")).unwrap();
    let newest = Results::read_all(&folder).unwrap();
    assert!(!newest.is_empty());
    for results in &newest {
        let Some(scenario) = scenarios::of_name(&results.scenario) else { continue };
        assert_eq!(idle_remarks(results, scenario.remarks), [], "{}", scenario.name);
    }
}

#[test]
fn a_contender_that_failed_is_named() {
    let mut results = results("CPU a request", Unit::Microseconds, [1.0, 1.0], [2.0, 2.0]);
    results.failed.push(("caddy".to_owned(), "round 2: it serves no more".to_owned()));
    let page = markdown(&results, &[]);
    assert!(page.contains("**Failed: caddy: round 2: it serves no more**"), "{page}");
}

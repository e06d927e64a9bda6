//! The lab finds a slowdown that was planted, and says where.

use std::path::Path;
use std::process::Command;

/// Runs the scenario `http` on bare pingora, which can be given a fault.
fn run(out: &Path, plant: Option<&str>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_karman-bench"));
    command.args(["run", "http", "--contenders", "pingora", "--rounds", "2", "--scale", "0.1", "--out"]).arg(out);
    match plant {
        Some(plant) => command.env("KARMAN_BENCH_PLANT", plant),
        None => command.env_remove("KARMAN_BENCH_PLANT"),
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_sleep_an_allocation_and_a_lost_keep_alive_are_found_by_their_figures() {
    let dir = tempfile::tempdir().unwrap();
    let before = dir.path().join("before");
    run(&before, None);
    let cases = [
        ("sleep", "a request, p50"),
        ("allocation", "CPU a request"),
        ("lost-keep-alive", "connections to the app for 1,000 requests"),
    ];
    for (plant, figure) in cases {
        let after = dir.path().join(plant);
        run(&after, Some(plant));
        let output = Command::new(env!("CARGO_BIN_EXE_karman-bench")).arg("compare").args([&before, &after]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{plant}: {said}");
        assert!(said.contains(&format!("worse: http, pingora, {figure}: ")), "{plant}: {said}");
    }
}

#[test]
fn a_run_that_is_compared_with_itself_is_no_worse() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), None);
    let output = Command::new(env!("CARGO_BIN_EXE_karman-bench")).arg("compare").args([dir.path(), dir.path()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let page = std::fs::read_to_string(dir.path().join("README.md")).unwrap();
    assert!(page.contains("| CPU a request |") && page.contains("| pingora |"), "{page}");
}

#[test]
fn a_contender_that_fails_is_named_and_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    // Bare pingora knows no such fault, and does not start.
    let mut command = Command::new(env!("CARGO_BIN_EXE_karman-bench"));
    command
        .args(["run", "http", "bodies", "--contenders", "pingora", "--rounds", "1", "--scale", "0.05", "--out"])
        .arg(dir.path());
    let output = command.env("KARMAN_BENCH_PLANT", "nonsense").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let page = std::fs::read_to_string(dir.path().join("README.md")).unwrap();
    assert_eq!(page.matches("**Failed: pingora: round 1: pingora does not serve").count(), 2, "{page}");
}

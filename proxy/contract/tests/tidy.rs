//! Rules of the house that a reader should be able to rely on, held by a test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file is a noun and fits in the head.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every Rust file of ours, by its path from the root.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["proxy", "controllers", "bench", "faults"].map(|name| root.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "node_modules" && name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "the sources were found: {}", found.len());
    found
}

fn manifest(package: &str) -> String {
    fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap()
}

#[test]
fn the_arrows_point_one_way() {
    // Proxy, controllers and bench know the contract, and never one another; the contract knows nobody. Tests share faults.
    for (package, ours) in [
        ("proxy/contract", &[][..]),
        ("faults", &[]),
        ("proxy", &["karman-contract", "karman-faults"]),
        ("controllers", &["karman-contract", "karman-faults"]),
        ("bench", &["karman-contract"]),
    ] {
        let text = manifest(package);
        let (_, dependencies) = text.split_once("[dependencies]").unwrap();
        let named: Vec<_> = dependencies
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|name| name.starts_with("karman"))
            .collect();
        assert_eq!(named, ours, "{package}/Cargo.toml");
    }
}

#[test]
fn every_file_says_what_it_is_and_fits_in_the_head() {
    for (name, text) in sources() {
        assert!(text.starts_with("//! "), "{name} does not begin with a sentence about itself");
        assert!(!name.ends_with("/mod.rs"), "{name}: foo.rs with foo/, no mod.rs");
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{name} has {lines} lines, {LINES_MAX} at most");
    }
}

#[test]
fn what_may_have_to_be_replaced_is_named_in_one_file() {
    for (krate, only) in [
        ("arc_swap", "proxy/src/live.rs"),
        ("serde_saphyr", "proxy/contract/src/yaml.rs"),
        ("prometheus_client", "proxy/src/metrics.rs"),
        ("dashmap", "proxy/src/tunnel/registry.rs"),
    ] {
        for (name, text) in sources() {
            let its_own =
                name == only || name.starts_with(only.trim_end_matches(".rs")) || name == "proxy/contract/tests/tidy.rs";
            assert!(its_own || !text.contains(&format!("{krate}::")), "{name} names {krate}; that is for {only}");
        }
    }
}

#[test]
fn no_test_is_skipped() {
    for (name, text) in sources() {
        // Put together here, so that this file does not find itself.
        assert!(!text.contains(concat!("#[", "ignore")), "{name} has a test that does not run");
    }
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    for package in ["proxy/contract", "proxy", "controllers", "bench", "faults"] {
        assert!(manifest(package).contains("[lints]\nworkspace = true"), "{package} does not take the workspace's lints");
    }
}

/// Rows of `proxy/BAD-INPUT.md` that no test holds yet: the page says so, and this list says so.
const OPEN_ROWS: &[&str] = &[];

#[test]
fn every_row_of_bad_input_has_its_tests() {
    let page = fs::read_to_string(root().join("proxy/BAD-INPUT.md")).unwrap();
    let is_row = |cell: &str| cell.len() == 3 && cell.starts_with(['H', 'S', 'T', 'L']) && cell[1..].parse::<u8>().is_ok();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 6 && is_row(cells[1]))
        .collect();
    let ids: Vec<_> = rows.iter().map(|row| row[1].to_owned()).collect();
    let wanted: Vec<_> = [('H', 23), ('S', 20), ('T', 16), ('L', 18)]
        .into_iter()
        .flat_map(|(table, last)| (1..=last).map(move |n| format!("{table}{n:02}")))
        .collect();
    assert_eq!(ids, wanted, "every row once, in order");
    let open: Vec<_> = rows.iter().filter(|row| row[4] == "open").map(|row| row[1]).collect();
    assert_eq!(open, OPEN_ROWS, "a row without a test is said to be open, here and there");
    let sources = sources();
    for row in rows.iter().filter(|row| row[4] != "open") {
        for test in row[4].split(',').map(|test| test.trim().trim_matches('`')) {
            let at = format!("fn {test}(");
            let holds = |(_, text): &&(String, String)| text.contains(&at) && text.contains(row[1]);
            assert!(sources.iter().any(|source| holds(&source)), "{}: no test '{test}' that names its row", row[1]);
        }
    }
}

#[test]
fn every_name_of_the_environment_is_explained() {
    let (readme, lab) = (root().join("README.md"), root().join("bench/README.md"));
    let (readme, lab) = (fs::read_to_string(readme).unwrap(), fs::read_to_string(lab).unwrap());
    let mut found = 0;
    for (file, text) in sources().iter().filter(|(file, _)| file.contains("/src/")) {
        for name in text.split('"').filter(|name| name.starts_with("KARMAN_")) {
            if name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
                found += 1;
                let page = if name.starts_with("KARMAN_BENCH_") { &lab } else { &readme };
                assert!(page.contains(&format!("`{name}`")), "{file} reads {name}, which no page explains");
            }
        }
    }
    assert!(found >= 7, "the names were found: {found}");
}

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
    let mut folders: Vec<_> = ["proxy", "controllers", "bench"].map(|name| root.join(name)).to_vec();
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
    // Proxy, controllers and bench know the contract, and never one another; the contract knows nobody.
    for (package, ours) in [
        ("proxy/contract", &[][..]),
        ("proxy", &["karman-contract"]),
        ("controllers", &["karman-contract"]),
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
    for package in ["proxy/contract", "proxy", "controllers", "bench"] {
        assert!(manifest(package).contains("[lints]\nworkspace = true"), "{package} does not take the workspace's lints");
    }
}

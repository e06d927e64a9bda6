//! What is remembered after changes, after a crash, and after one file was laid over the other.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;

use super::{ALL, BEFORE, SINCE};
use crate::catalog::{Accepted, Turn};
use crate::store::{Directory, Entry, Key};

/// A store and what it is told: names with the warm-up of their apps, none that they are gone.
fn keep(store: &Directory, changes: &[(&str, Option<u32>)], since_bytes_max: u64) {
    let turn = |(name, warm): &(&str, Option<u32>)| {
        let key = Key::parse(name).unwrap();
        let read = |warm| Entry::read(&key, &format!("{name}.yaml"), format!("hosts: [a.test]\nwarm_seconds: {warm}\n")).unwrap();
        let now = warm.map(|warm| Arc::new(read(warm)));
        (key, Turn { before: None, now })
    };
    store.add(&changes.iter().map(turn).collect::<Accepted>(), since_bytes_max).unwrap();
}

/// The same as it is remembered.
fn remembered(store: &Directory) -> Vec<(String, String)> {
    let good = store.good_versions().into_iter();
    good.map(|(key, version)| (key.to_string(), version.text.lines().last().unwrap().to_owned())).collect()
}

fn wanted(warm: &[(&str, u32)]) -> Vec<(String, String)> {
    warm.iter().map(|(name, warm)| ((*name).to_owned(), format!("warm_seconds: {warm}"))).collect()
}

#[test]
fn the_last_version_of_each_is_remembered_and_none_of_what_is_gone() {
    for since_bytes_max in [0, 1_000_000] {
        let dir = tempfile::tempdir().unwrap();
        let store = Directory::new(dir.path());
        keep(&store, &[("apps/a", Some(1)), ("apps/b", Some(1)), ("apps/c", Some(1))], since_bytes_max);
        keep(&store, &[("apps/a", Some(2)), ("apps/b", None)], since_bytes_max);
        keep(&store, &[("apps/a", Some(3))], since_bytes_max);
        assert_eq!(remembered(&store), wanted(&[("apps/a", 3), ("apps/c", 1)]));
    }
}

#[test]
fn what_came_since_is_laid_over_what_has_all_and_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = Directory::new(dir.path());
    let length = |name| fs::metadata(store.own_path(name)).map_or(0, |file| file.len());
    for warm in 1..=100 {
        keep(&store, &[("apps/a", Some(warm)), ("apps/b", Some(7))], 1_000);
        assert!(length(SINCE) < 1_500, "{} bytes after {warm} changes", length(SINCE));
    }
    assert!((1..200).contains(&length(ALL)), "{}", length(ALL));
    assert_eq!(remembered(&store), wanted(&[("apps/a", 100), ("apps/b", 7)]));
}

#[test]
fn a_line_that_a_crash_tore_costs_that_version_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = Directory::new(dir.path());
    keep(&store, &[("apps/a", Some(1))], 1_000);
    OpenOptions::new().append(true).open(store.own_path(SINCE)).unwrap().write_all(br#"["apps/a",["apps/a.ya"#).unwrap();
    assert_eq!(remembered(&store), wanted(&[("apps/a", 1)]));
    keep(&store, &[("apps/b", Some(2))], 1_000);
    assert_eq!(remembered(&store), wanted(&[("apps/a", 1), ("apps/b", 2)]));
}

#[test]
fn what_an_older_release_kept_in_a_file_each_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Directory::new(dir.path());
    fs::create_dir_all(store.own_path(BEFORE).join("apps")).unwrap();
    keep(&store, &[("apps/a", Some(1))], 1_000);
    assert!(!store.own_path(BEFORE).exists());
}

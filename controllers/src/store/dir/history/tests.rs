//! A history's file: what is in it after many changes, and after a power cut.

use std::fs;

use super::{CHANGES_MAX, LINES_MAX, Lines};
use crate::store::{Author, Change};

fn add(lines: &mut Lines, text: &str) {
    lines.add(&Author { by: "somebody".to_owned(), why: None }, Some(text)).unwrap();
}

fn changes(lines: &Lines) -> Vec<Change> {
    lines.kept().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_last_changes_are_kept_and_numbered_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("apps/a.jsonl");
    let changed = LINES_MAX + 7;
    for n in 1..=changed {
        let mut lines = Lines::read(path.clone()).unwrap();
        add(&mut lines, &format!("text {n}"));
        lines.write().unwrap();
        let on_disk = fs::read_to_string(&path).unwrap().lines().count();
        assert!(on_disk <= LINES_MAX, "{on_disk} lines after {n} changes");
    }
    let kept = changes(&Lines::read(path).unwrap());
    let numbers: Vec<_> = kept.iter().map(|change| change.number).collect();
    let last = changed as u64;
    assert_eq!(numbers, (last - CHANGES_MAX as u64 + 1..=last).collect::<Vec<_>>());
    assert_eq!(kept.last().unwrap().text.as_deref(), Some(&*format!("text {changed}")));
}

#[test]
fn what_stands_already_is_no_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = Lines::read(dir.path().join("a.jsonl")).unwrap();
    for text in ["one", "one", "two"] {
        add(&mut lines, text);
    }
    assert_eq!(changes(&lines).len(), 2);
}

#[test]
fn a_line_that_a_power_cut_tore_costs_that_change_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let mut lines = Lines::read(path.clone()).unwrap();
    for text in ["one", "two", "three"] {
        add(&mut lines, text);
    }
    lines.write().unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();

    let mut lines = Lines::read(path.clone()).unwrap();
    assert_eq!(changes(&lines).len(), 2);
    add(&mut lines, "four");
    lines.write().unwrap();
    let kept = changes(&Lines::read(path).unwrap());
    let texts: Vec<_> = kept.iter().map(|change| (change.number, change.text.as_deref().unwrap())).collect();
    assert_eq!(texts, [(1, "one"), (2, "two"), (3, "four")]);
}

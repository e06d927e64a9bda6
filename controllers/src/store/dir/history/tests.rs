//! A history's file: what is in it after many changes, and after a power cut.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use super::{CHANGES_MAX, END_BYTES, End};
use crate::store::{Author, Change, Directory, History, Key, Kind, Store as _};

/// A history's file never has more lines.
const LINES_MAX: usize = 2 * CHANGES_MAX;

fn record(path: &Path, texts: &[&str]) {
    for text in texts {
        let mut end = End::read(path.to_owned()).unwrap();
        end.add(Timestamp::now(), &Author { by: "somebody".to_owned(), why: None }, Some(text)).unwrap();
        end.write().unwrap();
    }
}

fn history(path: &Path) -> History {
    let text = fs::read(path).unwrap();
    History::read(super::kept(&text).map(|(number, line)| (format!("line {number}"), line)))
}

/// The numbers and texts.
fn changes(path: &Path) -> Vec<(u64, String)> {
    let changes = history(path).changes.into_iter();
    changes.map(|Change { number, text, .. }| (number, text.unwrap())).collect()
}

fn owned(changes: &[(u64, &str)]) -> Vec<(u64, String)> {
    changes.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
}

#[test]
fn the_last_changes_are_kept_and_numbered_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("apps/a.jsonl");
    let changed = 2 * LINES_MAX + 7;
    for n in 1..=changed {
        record(&path, &[&format!("text {n}")]);
        let on_disk = fs::read_to_string(&path).unwrap().lines().count();
        assert!(on_disk <= LINES_MAX, "{on_disk} lines after {n} changes");
    }
    let kept = changes(&path);
    let numbers: Vec<_> = kept.iter().map(|(number, _)| *number).collect();
    let last = changed as u64;
    assert_eq!(numbers, (last - CHANGES_MAX as u64 + 1..=last).collect::<Vec<_>>());
    assert_eq!(kept.last().unwrap().1, format!("text {changed}"));
}

#[test]
fn what_stands_already_is_no_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    record(&path, &["one", "one", "two"]);
    assert_eq!(changes(&path).len(), 2);
}

#[test]
fn a_change_that_is_longer_than_what_is_looked_at_first_is_numbered_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let long = "long ".repeat(END_BYTES as usize * 20);
    record(&path, &["one", &long, &long, "two", &long]);
    assert_eq!(changes(&path), owned(&[(1, "one"), (2, &long), (3, "two"), (4, &long)]));
}

#[test]
fn a_line_that_a_power_cut_tore_costs_that_change_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    record(&path, &["one", "two", "three"]);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(changes(&path).len(), 2);
    record(&path, &["four"]);
    assert_eq!(changes(&path), owned(&[(1, "one"), (2, "two"), (3, "four")]));
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_costs_that_change_only() {
    for (broken, unreadable) in [("{\"number\": 3, oh\n", 1), ("\u{0}\u{0}\n\n", 2)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        record(&path, &["one", "two"]);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole + broken).unwrap();
        record(&path, &["two", "three"]);
        assert_eq!(changes(&path), owned(&[(1, "one"), (2, "two"), (3 + unreadable, "two"), (4 + unreadable, "three")]));
        let named = history(&path).unreadable;
        assert_eq!(named.len() as u64, unreadable);
        assert!(named[0].starts_with("line 3 cannot be read: ") && named[0].contains("column"), "{named:?}");
    }
}

#[test]
fn a_history_of_nothing_that_can_be_read_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    fs::write(&path, [b"\xff\xfe\n".repeat(3), b"torn".to_vec()].concat()).unwrap();
    record(&path, &["one"]);
    assert_eq!(changes(&path), owned(&[(4, "one")]));
}

#[tokio::test]
async fn whoever_asks_hears_which_line_of_which_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Directory::new(dir.path());
    let key = Key::new(Kind::App, "a");
    let path = store.history_of(&key);
    record(&path, &["one"]);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("oh\n{whole}")).unwrap();
    let history = store.history(&key).await.unwrap();
    assert_eq!(history.changes.len(), 1);
    assert!(history.unreadable[0].starts_with(&format!("{}:1 cannot be read: ", path.display())), "{history:?}");
}

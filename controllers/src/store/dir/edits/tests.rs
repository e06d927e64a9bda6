//! What a history says while edits wait to be taken down in it, and once they are.

use std::fs;
use std::sync::Arc;

use super::{EDITS, EDITS_BYTES_MAX};
use crate::catalog::Turn;
use crate::store::{Author, Directory, Entry, Expect, Key, Store as _, Transaction};

/// A store, and what stood in it last.
struct Edited {
    dir: tempfile::TempDir,
    store: Directory,
    before: Option<Arc<Entry>>,
}

impl Edited {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Directory::new(dir.path());
        store.make_folders().unwrap();
        Self { dir, store, before: None }
    }

    fn key() -> Key {
        Key::parse("apps/a").unwrap()
    }

    /// Edits the app so that it says this, or removes it.
    fn edit(&mut self, warm: Option<u32>) {
        self.edit_and_keep(warm, EDITS_BYTES_MAX);
    }

    fn edit_and_keep(&mut self, warm: Option<u32>, bytes_max: u64) {
        let now = warm.map(|warm| Arc::new(Entry::read(&Self::key(), "apps/a.yaml", text(warm)).unwrap()));
        match &now {
            Some(entry) => fs::write(self.dir.path().join("apps/a.yaml"), &entry.text).unwrap(),
            None => fs::remove_file(self.dir.path().join("apps/a.yaml")).unwrap(),
        }
        let turn = Turn { before: std::mem::replace(&mut self.before, now.clone()), now };
        self.store.add_edits_up_to(&[(Self::key(), turn)].into(), bytes_max).unwrap();
    }

    /// As a verb does it.
    async fn commit(&mut self, warm: u32) {
        let transaction = Transaction::new(Author::controller("karman")).put(Self::key(), Expect::Anything, text(warm));
        self.store.commit(&transaction).await.unwrap();
        self.before = Some(Arc::new(Entry::read(&Self::key(), "apps/a.yaml", text(warm)).unwrap()));
    }

    /// The numbers, the reasons, and what the app said.
    fn history(&self) -> Vec<(u64, String, Option<String>)> {
        let changes = self.store.changes(&Self::key()).unwrap().changes.into_iter();
        changes.map(|change| (change.number, change.why.unwrap_or_default(), change.text)).collect()
    }

    fn edits_bytes(&self) -> Option<u64> {
        fs::metadata(self.store.own_path(EDITS)).ok().map(|file| file.len())
    }
}

fn text(warm: u32) -> String {
    format!("hosts: [a.test]\nwarm_seconds: {warm}\n")
}

fn wanted(changes: &[(&str, Option<u32>)]) -> Vec<(u64, String, Option<String>)> {
    (1..).zip(changes).map(|(number, (why, warm))| (number, (*why).to_owned(), warm.map(text))).collect()
}

const FIRST: &str = "as it was first seen";
const EDIT: &str = "edited by hand";

#[test]
fn a_history_says_the_same_before_and_after_its_edits_are_taken_down() {
    let mut edited = Edited::new();
    edited.edit(Some(1));
    assert_eq!((edited.history(), edited.edits_bytes()), (wanted(&[]), None), "new, and not edited yet");
    for warm in [Some(2), Some(2), Some(1), None, Some(3)] {
        edited.edit(warm);
    }
    let all = [(FIRST, Some(1)), (EDIT, Some(2)), (EDIT, Some(1)), (EDIT, None), (EDIT, Some(3))];
    assert_eq!(edited.history(), wanted(&all));
    for _ in 0..2 {
        let waiting = fs::read(edited.store.own_path(EDITS)).unwrap();
        edited.store.take_down_edits().unwrap();
        assert_eq!((edited.history(), edited.edits_bytes()), (wanted(&all), None));
        // As after a crash, before they were removed.
        fs::write(edited.store.own_path(EDITS), waiting).unwrap();
        assert_eq!(edited.history(), wanted(&all));
    }
}

#[tokio::test]
async fn what_is_committed_after_an_edit_comes_after_it() {
    let mut edited = Edited::new();
    edited.edit(Some(1));
    edited.edit(Some(2));
    edited.commit(3).await;
    edited.edit(Some(4));
    let why = Author::controller("karman").why.unwrap_or_default();
    let all = [(FIRST, Some(1)), (EDIT, Some(2)), (why.as_str(), Some(3)), (EDIT, Some(4))];
    assert_eq!(edited.history(), wanted(&all));
    edited.store.take_down_edits().unwrap();
    assert_eq!(edited.history(), wanted(&all));
}

#[tokio::test]
async fn what_a_verb_changed_is_no_edit_but_to_go_back_to_it_is() {
    let mut edited = Edited::new();
    edited.edit(Some(1));
    edited.commit(2).await;
    // The publisher sees it too.
    edited.edit(Some(2));
    assert_eq!(edited.edits_bytes(), None);
    edited.edit(Some(3));
    edited.edit(Some(2));
    let why = Author::controller("karman").why.unwrap_or_default();
    assert_eq!(edited.history(), wanted(&[(why.as_str(), Some(2)), (EDIT, Some(3)), (EDIT, Some(2))]));
}

#[test]
fn a_line_that_a_crash_tore_costs_that_edit_only() {
    let mut edited = Edited::new();
    for warm in [1, 2, 3] {
        edited.edit(Some(warm));
    }
    let path = edited.store.own_path(EDITS);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    edited.edit(Some(4));
    assert_eq!(edited.history(), wanted(&[(FIRST, Some(1)), (EDIT, Some(2)), (EDIT, Some(4))]));
}

#[test]
fn the_edits_that_wait_do_not_grow_for_ever() {
    let mut edited = Edited::new();
    for warm in 0..40 {
        edited.edit_and_keep(Some(warm), 1_000);
        assert!(edited.edits_bytes().unwrap_or_default() <= 1_000);
    }
    let last = edited.history().into_iter().map(|(number, _, text)| (number, text)).next_back();
    assert_eq!(last, Some((40, Some(text(39)))));
}

//! One suite for both kinds of store: what holds for the one holds for the other.

use std::sync::Arc;
use std::time::Duration;

use karman::store::history::CHANGES_MAX;
use karman::store::transaction::WRITES_MAX;
use karman::store::{
    Author, Expect, Follow, Key, Kind, Lease, Leased, News, Place, Seen, Store, StoreError, TEXT_BYTES_MAX, Transaction,
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::etcd::Etcd;
use crate::program::PATIENCE;

/// An empty store, and what it lives in.
pub(crate) struct Rig {
    pub(crate) store: Arc<dyn Store>,
    place: Place,
    _dir: Option<TempDir>,
    etcd: Option<Etcd>,
}

impl Rig {
    async fn directory() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Directory(dir.path().to_owned());
        Self { store: place.open().await.unwrap(), place, _dir: Some(dir), etcd: None }
    }

    async fn etcd() -> Self {
        let etcd = Etcd::start();
        let place: Place = etcd.url().parse().unwrap();
        Self { store: place.open().await.unwrap(), place, _dir: None, etcd: Some(etcd) }
    }

    /// The same store, as another process would open it.
    async fn other(&self) -> Arc<dyn Store> {
        self.place.open().await.unwrap()
    }

    async fn write(&self, key: &str, text: &str) {
        put(self.store.as_ref(), key, Expect::Anything, text).await.unwrap();
    }

    async fn remove(&self, key: &str) {
        self.store.commit(&Transaction::new(author()).remove(self::key(key), Expect::Anything)).await.unwrap();
    }

    async fn text(&self, key: &str) -> Option<String> {
        self.store.look(&self::key(key)).await.unwrap().text().map(|text| text.text.clone())
    }

    async fn lease(&self, name: &str) -> Lease {
        match self.store.lease(name).await.unwrap() {
            Leased::Ours(lease) => lease,
            Leased::Theirs(holder) => panic!("{holder:?} has it"),
        }
    }
}

/// Makes of each rule a test of either kind of store.
macro_rules! both {
    ($($rule:ident,)*) => {
        mod directory {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(super::Rig::directory().await).await;
            })*
        }
        mod etcd {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(super::Rig::etcd().await).await;
            })*
        }
    };
}

both! {
    what_was_written_is_read,
    a_write_that_expects_something_else_changes_nothing,
    all_of_a_transaction_is_written_or_nothing,
    of_many_writers_each_one_counts,
    a_follower_sees_all_and_then_every_change,
    a_lease_is_one_holders_and_its_writes_end_with_it,
    changes_are_kept_with_who_and_why,
    a_change_that_cannot_be_read_is_named_and_hides_no_other,
    stamps_never_go_back,
    what_no_store_could_hold_is_refused,
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap_or_else(|| panic!("{text} is no key"))
}

fn author() -> Author {
    Author { by: "mia".to_owned(), why: Some("a test".to_owned()) }
}

async fn put(store: &dyn Store, key: &str, expect: Expect, text: &str) -> Result<(), StoreError> {
    store.commit(&Transaction::new(author()).put(self::key(key), expect, text)).await
}

async fn next(follow: &mut Follow) -> News {
    timeout(PATIENCE, follow.next()).await.expect("news come").unwrap()
}

/// What a follower holds, kept up by its news until something holds.
#[derive(Default)]
struct Mirror(std::collections::BTreeMap<String, String>);

impl Mirror {
    async fn until(&mut self, follow: &mut Follow, condition: impl Fn(&std::collections::BTreeMap<String, String>) -> bool) {
        while !condition(&self.0) {
            let Ok(news) = timeout(PATIENCE, follow.next()).await.unwrap_or_else(|_| panic!("in vain: {:?}", self.0)) else {
                continue;
            };
            if news.all {
                self.0.clear();
            }
            for (key, seen) in news.seen {
                match seen {
                    Seen::Text(text) => drop(self.0.insert(key.to_string(), text.text)),
                    Seen::Nothing | Seen::Unreadable(_) => drop(self.0.remove(&key.to_string())),
                }
            }
        }
    }
}

async fn what_was_written_is_read(rig: Rig) {
    assert!(rig.store.read(&Kind::ALL).await.unwrap().entries.is_empty());
    for (key, text) in [
        ("apps/b", "hosts: [b.test] # a comment\n"),
        ("apps/a", "{\"hosts\":[\"a.test\"]}"),
        ("defaults", "warm_seconds: 4\n"),
        ("pages/down", "<!doctype html>"),
        ("status/certificates/a", "{}"),
        ("certificates/a.test", "{\"names\":[]}"),
    ] {
        rig.write(key, text).await;
        assert_eq!(rig.text(key).await.as_deref(), Some(text), "{key}");
    }
    let apps = rig.store.read(&[Kind::App, Kind::Status]).await.unwrap();
    let keys: Vec<_> = apps.entries.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["apps/a", "apps/b", "status/certificates/a"]);
    rig.write("apps/a", "hosts: [a.test]\n").await;
    assert_eq!(rig.text("apps/a").await.as_deref(), Some("hosts: [a.test]\n"), "JSON makes place for YAML");
    rig.remove("apps/a").await;
    rig.remove("apps/a").await;
    assert_eq!(rig.text("apps/a").await, None);
}

async fn a_write_that_expects_something_else_changes_nothing(rig: Rig) {
    put(rig.store.as_ref(), "apps/a", Expect::Absent, "one").await.unwrap();
    let first = rig.store.look(&key("apps/a")).await.unwrap().unchanged();
    let again = put(rig.store.as_ref(), "apps/a", Expect::Absent, "two").await;
    assert_eq!(again, Err(StoreError::Changed(key("apps/a"))));
    put(rig.store.as_ref(), "apps/a", first.clone(), "two").await.unwrap();
    let late = put(rig.other().await.as_ref(), "apps/a", first.clone(), "three").await;
    assert_eq!(late, Err(StoreError::Changed(key("apps/a"))));
    let late = rig.store.commit(&Transaction::new(author()).remove(key("apps/a"), first)).await;
    assert_eq!(late, Err(StoreError::Changed(key("apps/a"))));
    assert_eq!(rig.text("apps/a").await.as_deref(), Some("two"));
}

async fn all_of_a_transaction_is_written_or_nothing(rig: Rig) {
    rig.write("apps/a", "one").await;
    let seen = rig.store.look(&key("apps/a")).await.unwrap().unchanged();
    rig.write("apps/a", "two").await;
    let late = Transaction::new(author())
        .put(key("apps/b"), Expect::Absent, "one")
        .put(key("apps/a"), seen, "three")
        .remove(key("apps/c"), Expect::Anything);
    assert_eq!(rig.store.commit(&late).await, Err(StoreError::Changed(key("apps/a"))));
    assert_eq!((rig.text("apps/a").await.as_deref(), rig.text("apps/b").await), (Some("two"), None));

    let seen = rig.store.look(&key("apps/a")).await.unwrap().unchanged();
    let both = Transaction::new(author()).put(key("apps/b"), Expect::Absent, "one").remove(key("apps/a"), seen);
    rig.store.commit(&both).await.unwrap();
    assert_eq!((rig.text("apps/a").await, rig.text("apps/b").await.as_deref()), (None, Some("one")));
}

async fn of_many_writers_each_one_counts(rig: Rig) {
    const WRITERS: usize = 4;
    const EACH: usize = 5;
    rig.write("apps/count", "0").await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = rig.other().await;
        writers.spawn(async move {
            for _ in 0..EACH {
                loop {
                    let seen = store.look(&key("apps/count")).await.unwrap();
                    let count: usize = seen.text().unwrap().text.parse().unwrap();
                    match put(store.as_ref(), "apps/count", seen.unchanged(), &(count + 1).to_string()).await {
                        Ok(()) => break,
                        Err(StoreError::Changed(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
    }
    writers.join_all().await;
    assert_eq!(rig.text("apps/count").await, Some((WRITERS * EACH).to_string()));
}

async fn a_follower_sees_all_and_then_every_change(rig: Rig) {
    rig.write("apps/a", "hosts: [a.test]").await;
    rig.write("orders/x", "{}").await;
    let mut follow = rig.other().await.follow(&[Kind::App, Kind::Defaults]).await.unwrap();
    let first = next(&mut follow).await;
    assert!(first.all);
    assert_eq!(first.seen.keys().map(ToString::to_string).collect::<Vec<_>>(), ["apps/a"], "and not what nobody asked for");

    rig.write("apps/b", "hosts: [b.test]").await;
    rig.write("defaults", "warm_seconds: 4").await;
    rig.write("orders/y", "{}").await;
    let mut mirror = Mirror(std::collections::BTreeMap::from([("apps/a".to_owned(), "hosts: [a.test]".to_owned())]));
    mirror.until(&mut follow, |mirror| mirror.contains_key("apps/b") && mirror.contains_key("defaults")).await;
    rig.remove("apps/a").await;
    mirror.until(&mut follow, |mirror| !mirror.contains_key("apps/a")).await;
    for n in 0..50 {
        rig.write("apps/b", &format!("hosts: [b{n}.test]")).await;
    }
    mirror.until(&mut follow, |mirror| mirror["apps/b"] == "hosts: [b49.test]").await;
    assert_eq!(mirror.0.keys().collect::<Vec<_>>(), ["apps/b", "defaults"]);
}

async fn a_lease_is_one_holders_and_its_writes_end_with_it(rig: Rig) {
    let other = rig.other().await;
    assert_eq!(other.holder("certificates").await.unwrap(), None);
    let lease = rig.lease("certificates").await;
    assert!(matches!(other.lease("certificates").await.unwrap(), Leased::Theirs(Some(holder)) if holder.contains("pid")));
    assert!(other.holder("certificates").await.unwrap().is_some());
    let _another = rig.lease("dns").await;
    let write = |text: &str| Transaction::new(author()).put(key("orders/a"), Expect::Anything, text).under(&lease);
    rig.store.commit(&write("one")).await.unwrap();

    // It is taken away, as when its holder was stopped for too long, and somebody else has it.
    match &rig.etcd {
        Some(etcd) => {
            // "/test/.leases/certificates" in base64.
            etcd.call("/v3/kv/deleterange", r#"{"key":"L3Rlc3QvLmxlYXNlcy9jZXJ0aWZpY2F0ZXM="}"#);
        }
        None => std::fs::remove_file(format!("{}/.karman/certificates.lock", rig.store.place())).unwrap(),
    }
    let theirs = other.lease("certificates").await.unwrap();
    let Leased::Ours(theirs) = theirs else { panic!("{theirs:?}") };
    assert_eq!(rig.store.commit(&write("two")).await, Err(StoreError::LeaseLost("certificates".to_owned())));
    assert_eq!(rig.text("orders/a").await.as_deref(), Some("one"));
    let their_write = Transaction::new(author()).put(key("orders/a"), Expect::Anything, "three").under(&theirs);
    other.commit(&their_write).await.unwrap();
    drop(theirs);
    let freed = async {
        while !matches!(other.lease("certificates").await.unwrap(), Leased::Ours(_)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, freed).await.expect("a lease that is given back is free at once");
}

async fn changes_are_kept_with_who_and_why(rig: Rig) {
    assert!(rig.store.history(&key("apps/a")).await.unwrap().changes.is_empty());
    rig.write("apps/a", "one").await;
    rig.write("apps/a", "two").await;
    rig.remove("apps/a").await;
    rig.write("apps/a", "three").await;
    let history = rig.store.history(&key("apps/a")).await.unwrap().changes;
    let found: Vec<_> = history.iter().map(|change| (change.number, change.by.as_str(), change.text.as_deref())).collect();
    assert_eq!(found, [(1, "mia", Some("one")), (2, "mia", Some("two")), (3, "mia", None), (4, "mia", Some("three"))]);
    assert_eq!(history[0].why.as_deref(), Some("a test"));
    for n in 0..CHANGES_MAX {
        rig.write("apps/a", &n.to_string()).await;
    }
    let history = rig.store.history(&key("apps/a")).await.unwrap().changes;
    assert_eq!((history.len(), history[0].number), (CHANGES_MAX, 5));
    rig.write("keys/cookie", "{}").await;
    assert!(rig.store.history(&key("keys/cookie")).await.unwrap().changes.is_empty(), "an old key is gone once it is replaced");
}

async fn a_change_that_cannot_be_read_is_named_and_hides_no_other(rig: Rig) {
    rig.write("apps/a", "one").await;
    rig.write("apps/a", "two").await;
    let place = match &rig.etcd {
        Some(etcd) => {
            // "/test/.history/apps/a/0000000002" and "oh" in base64.
            etcd.call("/v3/kv/put", r#"{"key":"L3Rlc3QvLmhpc3RvcnkvYXBwcy9hLzAwMDAwMDAwMDI=","value":"b2g="}"#);
            "/test/.history/apps/a/0000000002".to_owned()
        }
        None => {
            let path = format!("{}/.karman/history/apps/a.jsonl", rig.store.place());
            let first = std::fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
            std::fs::write(&path, first + "\noh\n").unwrap();
            format!("{path}:2")
        }
    };
    rig.write("apps/a", "three").await;
    let history = rig.store.history(&key("apps/a")).await.unwrap();
    let found: Vec<_> = history.changes.iter().map(|change| (change.number, change.text.as_deref())).collect();
    assert_eq!(found, [(1, Some("one")), (3, Some("three"))]);
    assert_eq!(history.unreadable.len(), 1);
    assert!(history.unreadable[0].starts_with(&format!("{place} cannot be read: ")), "{:?}", history.unreadable);
}

async fn stamps_never_go_back(rig: Rig) {
    let mut ledger = rig.store.ledger().await.unwrap();
    let first = ledger.stamp();
    assert!(first.epoch > 1_700_000_000);
    rig.write("apps/a", "one").await;
    let revision = rig.store.read(&[Kind::App]).await.unwrap().revision;
    ledger.advance(revision).await.unwrap();
    let second = ledger.stamp();
    assert!(second > first && second.epoch == first.epoch, "{second} after {first}");
    ledger.go_past(second.generation).await.unwrap();
    ledger.go_past(second.generation + 1_000).await.unwrap();
    let third = ledger.stamp();
    assert!(third.generation > second.generation + 1_000);
    rig.write("apps/a", "two").await;
    let revision = rig.store.read(&[Kind::App]).await.unwrap().revision;
    ledger.advance(revision).await.unwrap();
    assert!(ledger.stamp() > third);
    assert!(rig.other().await.ledger().await.unwrap().stamp() >= ledger.stamp(), "whoever opens it next goes on from there");
    ledger.begin_epoch_after(4_000_000_000).await.unwrap();
    assert_eq!(ledger.stamp().epoch, 4_000_000_001);
    assert_eq!(rig.other().await.ledger().await.unwrap().stamp().epoch, 4_000_000_001);
}

async fn what_no_store_could_hold_is_refused(rig: Rig) {
    let refused = |answer: Result<(), StoreError>, words: &str| {
        let Err(StoreError::Refused(why)) = &answer else { panic!("{answer:?}") };
        assert!(why.contains(words), "{why}");
    };
    for id in ["../a", ".a", "a/b", "", "a b", "ä"] {
        let write = Transaction::new(author()).put(Key::new(Kind::App, id), Expect::Anything, "x");
        refused(rig.store.commit(&write).await, "cannot be the key");
    }
    refused(put(rig.store.as_ref(), "apps/a", Expect::Anything, &"x".repeat(TEXT_BYTES_MAX + 1)).await, "wanted at most 1048576");
    let many = (0..=WRITES_MAX)
        .fold(Transaction::new(author()), |many, n| many.put(Key::new(Kind::Order, &n.to_string()), Expect::Anything, "x"));
    refused(rig.store.commit(&many).await, "wanted at most 40");
    assert!(rig.store.read(&Kind::ALL).await.unwrap().entries.is_empty());
    let largest = "x".repeat(TEXT_BYTES_MAX / 2);
    rig.write("pages/large", &largest).await;
    assert_eq!(rig.text("pages/large").await.map(|text| text.len()), Some(largest.len()));
}

#[tokio::test]
async fn large_texts_are_written_together() {
    let rig = Rig::directory().await;
    let text = "x".repeat(400_000);
    let pages = (0..4).map(|n| key(&format!("pages/{n}")));
    rig.store
        .commit(&pages.fold(Transaction::new(author()), |all, key| all.put(key, Expect::Absent, text.as_str())))
        .await
        .unwrap();
    assert_eq!(rig.store.read(&[Kind::Page]).await.unwrap().entries.len(), 4);
}

#[tokio::test]
async fn what_a_writer_had_begun_is_finished_by_the_next_reader() {
    let rig = Rig::directory().await;
    rig.write("apps/a", "one").await;
    // As a kill -9 leaves it between the plan and the files.
    let plan = r#"[{"file":"apps/a.yaml","secret":false,"text":null},{"file":"apps/b.yaml","secret":false,"text":"two"}]"#;
    std::fs::write(format!("{}/.karman/commit.json", rig.store.place()), plan).unwrap();
    let keys: Vec<_> =
        rig.other().await.read(&[Kind::App]).await.unwrap().entries.into_iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["apps/b"]);
}

#[tokio::test]
async fn an_etcd_that_compacts_or_dies_leaves_no_gap_to_its_followers() {
    let mut rig = Rig::etcd().await;
    let mut follow = rig.store.follow(&[Kind::App]).await.unwrap();
    rig.write("apps/a", "one").await;
    rig.write("apps/gone", "one").await;
    let mut mirror = Mirror::default();
    mirror.until(&mut follow, |mirror| mirror.len() == 2).await;

    // What changes while nobody follows, and is compacted then, cannot be had from the watch any more.
    let etcd = rig.etcd.as_mut().unwrap();
    etcd.kill_member(0);
    etcd.start_member(0);
    etcd.wait_until_well();
    rig.remove("apps/gone").await;
    rig.write("apps/b", "two").await;
    rig.etcd.as_ref().unwrap().compact();
    mirror.until(&mut follow, |mirror| !mirror.contains_key("apps/gone") && mirror.contains_key("apps/b")).await;
    rig.write("apps/c", "three").await;
    mirror.until(&mut follow, |mirror| mirror.contains_key("apps/c")).await;
    assert_eq!(mirror.0.keys().collect::<Vec<_>>(), ["apps/a", "apps/b", "apps/c"]);
}

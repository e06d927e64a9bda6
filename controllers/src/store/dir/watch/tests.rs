//! What the kernel tells of a store's folders, and what it does not wake us for.

use std::fs;
use std::time::Duration;

use tokio::time::timeout;

use super::{KEYS_MAX, Pending, Watch};
use crate::store::dir::Directory;
use crate::store::{Key, Kind};

const PATIENCE: Duration = Duration::from_secs(10);
/// So long is waited for what must not come.
const NOTHING: Duration = Duration::from_millis(300);

/// A store of two folders and what stands in the root, watched.
struct Watched {
    dir: tempfile::TempDir,
    watch: Watch,
}

impl Watched {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Directory::new(dir.path());
        store.make_folders().unwrap();
        let (watch, watching) = Watch::new(&store, &[Kind::Defaults, Kind::App, Kind::Status]);
        watching.unwrap();
        Self { dir, watch }
    }

    fn write(&self, name: &str) {
        fs::write(self.dir.path().join(name), "a: 1\n").unwrap();
    }

    async fn changed(&mut self) -> Pending {
        timeout(PATIENCE, self.watch.changed()).await.unwrap()
    }

    async fn says_nothing(&mut self) {
        if let Ok(pending) = timeout(NOTHING, self.watch.changed()).await {
            panic!("{pending:?}");
        }
    }
}

fn these(keys: &[Key]) -> Pending {
    Pending { keys: keys.iter().cloned().collect(), all: false }
}

fn app(id: &str) -> Key {
    Key::new(Kind::App, id)
}

#[tokio::test]
async fn what_comes_together_is_told_together() {
    let mut watched = Watched::new();
    watched.write("apps/a.yaml");
    watched.write("apps/.b.new");
    fs::rename(watched.dir.path().join("apps/.b.new"), watched.dir.path().join("apps/b.json")).unwrap();
    watched.write("defaults.yaml");
    assert_eq!(watched.changed().await, these(&[app("a"), app("b"), Key::single(Kind::Defaults)]));
    fs::remove_file(watched.dir.path().join("apps/a.yaml")).unwrap();
    assert_eq!(watched.changed().await, these(&[app("a")]));
}

#[tokio::test]
async fn what_is_read_or_not_of_the_store_is_not_told_of() {
    let mut watched = Watched::new();
    watched.write("apps/a.yaml");
    watched.changed().await;
    fs::read(watched.dir.path().join("apps/a.yaml")).unwrap();
    watched.write("apps/.a.yaml.swp");
    watched.write("apps/notes.txt");
    watched.write("plans/small.yaml");
    fs::create_dir(watched.dir.path().join("backup")).unwrap();
    watched.says_nothing().await;
}

#[tokio::test]
async fn what_waits_is_not_lost_when_the_wait_is_given_up() {
    let mut watched = Watched::new();
    for id in ["a", "b"] {
        watched.write(&format!("apps/{id}.yaml"));
        // Before it is due.
        let _ = timeout(Duration::from_millis(1), watched.watch.changed()).await;
    }
    assert_eq!(watched.changed().await, these(&[app("a"), app("b")]));
}

#[tokio::test]
async fn a_folder_that_comes_or_goes_is_looked_at_whole() {
    let mut watched = Watched::new();
    let apps = watched.dir.path().join("apps");
    fs::rename(&apps, watched.dir.path().join("away")).unwrap();
    assert!(watched.changed().await.all);
    fs::create_dir(&apps).unwrap();
    assert!(watched.changed().await.all);

    watched.watch.renew().unwrap();
    watched.write("away/gone.yaml");
    watched.says_nothing().await;
    watched.write("apps/a.yaml");
    assert_eq!(watched.changed().await, these(&[app("a")]));

    fs::remove_dir_all(&apps).unwrap();
    assert!(watched.changed().await.all);
    fs::create_dir(watched.dir.path().join("status/dns")).unwrap();
    assert!(watched.changed().await.all);
}

#[tokio::test]
async fn of_too_many_changes_all_are_looked_at() {
    let mut watched = Watched::new();
    for n in 0..=KEYS_MAX {
        fs::write(watched.dir.path().join(format!("apps/a-{n}.yaml")), "").unwrap();
    }
    assert_eq!(watched.changed().await, Pending { all: true, ..Pending::default() });
}

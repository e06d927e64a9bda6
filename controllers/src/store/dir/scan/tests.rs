//! What a look at all files finds: what came, went and changed since the last one.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use super::Scan;
use crate::store::{Directory, Kind};

/// Writes a file so long ago that nobody is in the middle of it.
fn write(dir: &Path, name: &str, text: &str, seconds_ago: u64) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let then = SystemTime::now() - Duration::from_secs(seconds_ago);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

async fn changed(scan: &mut Scan, store: &Directory) -> Vec<String> {
    let hurries = AtomicBool::new(true);
    scan.changed(store, &hurries).await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_came_went_or_changed_is_found_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut scan) = (Directory::new(dir.path()), Scan::new(&[Kind::App]));
    for name in ["a", "b", "c"] {
        write(dir.path(), &format!("apps/{name}.yaml"), "one", 100);
    }
    assert_eq!(changed(&mut scan, &store).await, ["apps/a", "apps/b", "apps/c"]);
    assert!(changed(&mut scan, &store).await.is_empty());
    write(dir.path(), "apps/a.yaml", "two", 50);
    fs::remove_file(dir.path().join("apps/b.yaml")).unwrap();
    write(dir.path(), "apps/d.yaml", "one", 50);
    assert_eq!(changed(&mut scan, &store).await, ["apps/a", "apps/b", "apps/d"]);
    assert!(changed(&mut scan, &store).await.is_empty());
}

#[tokio::test]
async fn a_file_that_was_just_written_to_is_told_of_once_that_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut scan) = (Directory::new(dir.path()), Scan::new(&[Kind::App]));
    write(dir.path(), "apps/a.yaml", "one", 100);
    assert_eq!(changed(&mut scan, &store).await, ["apps/a"]);
    write(dir.path(), "apps/a.yaml", "half of tw", 0);
    assert!(changed(&mut scan, &store).await.is_empty());
    write(dir.path(), "apps/a.yaml", "all of two", 50);
    assert_eq!(changed(&mut scan, &store).await, ["apps/a"]);
}

#[tokio::test]
async fn what_a_scan_found_that_broke_off_is_told_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut scan) = (Directory::new(dir.path()), Scan::new(&[Kind::App, Kind::State]));
    write(dir.path(), "apps/a.yaml", "one", 100);
    write(dir.path(), "state/a.yaml", "one", 100);
    let hurries = AtomicBool::new(false);
    // It rests within the first folder, and is given up there.
    for n in 0..super::FILES_AT_ONCE {
        write(dir.path(), &format!("apps/more-{n}.yaml"), "one", 100);
    }
    {
        let looking = scan.changed(&store, &hurries);
        let mut looking = std::pin::pin!(looking);
        std::future::poll_fn(|context| {
            let _ = looking.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    assert_eq!(changed(&mut scan, &store).await.len(), super::FILES_AT_ONCE + 2);
}

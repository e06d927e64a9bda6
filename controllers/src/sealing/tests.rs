//! Sealing, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::{CannotOpen, Sealed, Sealing};
use crate::store::dir::Directory;
use crate::store::{Author, Expect, Key, Kind, Store as _, Transaction};

#[tokio::test]
async fn a_key_is_made_only_for_a_store_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (store, path) = (Directory::new(folder.path().join("data")), folder.path().join("store.key"));
    Sealing::of(&store, &path).await.unwrap();
    let key = Key::new(Kind::Certificate, "todos.example.com");
    let write = Transaction::new(Author::controller("test")).put(key, Expect::Absent, "{}");
    store.commit(&write).await.unwrap();
    Sealing::of(&store, &path).await.unwrap();
    fs::remove_file(&path).unwrap();
    let refused = Sealing::of(&store, &path).await.err().unwrap().message;
    assert!(refused.contains("certificates/todos.example.com") && refused.contains("bring the key file"), "{refused}");
    assert!(!path.exists());
}

const PLACE: &str = "certificates/todos.example.com";

#[test]
fn a_secret_comes_back_in_its_own_place_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/store.key");
    let sealing = Sealing::made(&path).unwrap();
    let sealed = sealing.seal(PLACE, b"a private key").unwrap();
    let text = sealed.to_string();
    let read: Sealed = text.parse().unwrap();
    let again = Sealing::open(&path).unwrap();

    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "for its owner alone");
    assert_eq!(again.reveal(PLACE, &read).unwrap(), b"a private key");
    assert_eq!(again.reveal("certificates/other.example.com", &read), Err(CannotOpen::NotGenuine));
    assert!(!text.contains("private") && !format!("{sealed:?}").contains(&text[20..]));
}

#[test]
fn a_changed_secret_and_another_key_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| Sealing::made(&folder.path().join(name)).unwrap());
    let sealed = one.seal(PLACE, b"secret").unwrap();
    let mut changed = sealed.clone();
    if let Some(byte) = changed.bytes.last_mut() {
        *byte ^= 1;
    }
    let cut = Sealed { bytes: sealed.bytes[..5].to_vec(), ..sealed.clone() };

    assert_eq!(one.reveal(PLACE, &changed), Err(CannotOpen::NotGenuine));
    assert_eq!(one.reveal(PLACE, &cut), Err(CannotOpen::NotGenuine));
    assert!(other.reveal(PLACE, &sealed).unwrap_err().to_string().contains(&sealed.key_id));
}

#[test]
fn a_key_file_that_others_can_read_or_that_is_no_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.key");
    Sealing::made(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(Sealing::open(&path).err().unwrap().message.contains("chmod 600"));

    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "not a key\n").unwrap();
    assert!(Sealing::open(&path).err().unwrap().message.contains("32 random bytes"));
}

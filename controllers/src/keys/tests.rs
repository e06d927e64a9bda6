//! How lists of keys grow, settle and shrink.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::{SignedDuration, Timestamp};

use super::{KEPT, KeysFile, SETTLES, TICKET_LIFE, Use};
use crate::sealing::Sealing;

fn sealing() -> (tempfile::TempDir, Sealing) {
    let folder = tempfile::tempdir().unwrap();
    let sealing = Sealing::made(&folder.path().join("store.key")).unwrap();
    (folder, sealing)
}

#[test]
fn a_new_key_verifies_before_it_signs_and_four_are_kept() {
    let (_folder, sealing) = sealing();
    let mut now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut file = KeysFile::new(Use::Ticket, &sealing, now).unwrap();
    let first = file.open(Use::Ticket, &sealing).unwrap();

    assert!(!file.tend(Use::Ticket, &sealing, now).unwrap(), "a young list is left alone");
    now = file.tend_at(Use::Ticket).unwrap();
    assert_eq!(now, file.keys[0].made_at + TICKET_LIFE - SETTLES);
    assert!(file.tend(Use::Ticket, &sealing, now).unwrap());
    let both = file.open(Use::Ticket, &sealing).unwrap();
    assert_eq!((both.len(), &both[0]), (2, &first[0]), "the old key still signs");

    assert!(!file.tend(Use::Ticket, &sealing, now + SETTLES - SignedDuration::from_secs(1)).unwrap());
    now = file.tend_at(Use::Ticket).unwrap();
    assert!(file.tend(Use::Ticket, &sealing, now).unwrap());
    assert_eq!(file.open(Use::Ticket, &sealing).unwrap(), [both[1].clone(), both[0].clone()], "the new one signs now");

    for _ in 0..20 {
        now = file.tend_at(Use::Ticket).unwrap();
        assert!(file.tend(Use::Ticket, &sealing, now).unwrap());
    }
    assert_eq!(file.keys.len(), KEPT);
    assert!(file.open(Use::Ticket, &sealing).unwrap().len() <= KEPT + 1);
}

#[test]
fn cookie_keys_are_replaced_when_somebody_says_so_only() {
    let (_folder, sealing) = sealing();
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut file = KeysFile::new(Use::Cookie, &sealing, now).unwrap();
    assert_eq!(file.tend_at(Use::Cookie), None);
    file.rotate(Use::Cookie, &sealing, now).unwrap();
    assert_eq!(file.tend_at(Use::Cookie), Some(now + SETTLES));
}

#[test]
fn what_was_sealed_for_one_list_is_no_key_of_another() {
    let (_folder, sealing) = sealing();
    let file = KeysFile::new(Use::Cookie, &sealing, Timestamp::UNIX_EPOCH).unwrap();
    assert!(file.open(Use::Ticket, &sealing).is_err());
    assert!(!format!("{file:?}").contains("aes256gcm"), "a Debug shows no text of a key");
}

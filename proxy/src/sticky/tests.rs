//! Sealing, opening and finding the cookie among others.

use proptest::prelude::*;

use super::*;

fn keys(seeds: &[u8]) -> CookieKeys {
    let cookie = seeds.iter().map(|seed| SecretKey(vec![*seed; 32])).collect();
    CookieKeys::new(&KeysDocument { cookie, stamp: Default::default(), ticket: Vec::new() })
}

fn app(id: &str) -> AppId {
    id.parse().unwrap()
}

const BOUND: Bound = Bound { release: 7, tag: 0x0123_4567_89ab_cdef };

#[test]
fn every_key_opens_and_only_the_first_seals() {
    let value = keys(&[1]).seal(&app("todos"), BOUND).unwrap();
    assert_eq!(keys(&[2, 1]).open(&app("todos"), &value), Some(BOUND), "an older key still verifies");
    assert_eq!(keys(&[2]).open(&app("todos"), &value), None);
    assert_ne!(keys(&[2, 1]).seal(&app("todos"), BOUND).unwrap(), value);
    assert_eq!(keys(&[1]).open(&app("other"), &value), None, "a cookie of one app is nothing to another");
}

#[test]
fn every_changed_byte_is_noticed() {
    let keys = keys(&[1]);
    let value = keys.seal(&app("todos"), BOUND).unwrap();
    assert!(!value.contains("todos"));
    for index in 0..value.len() {
        let mut forged = value.clone().into_bytes();
        forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
        assert_eq!(keys.open(&app("todos"), std::str::from_utf8(&forged).unwrap()), None, "byte {index}");
    }
    for forged in ["", "=", "AAAA", &value[1..], &format!("{value}A"), &format!("{value}{value}")] {
        assert_eq!(keys.open(&app("todos"), forged), None, "{forged:?}");
    }
}

#[test]
fn the_cookies_name_is_matched_exactly() {
    let keys = keys(&[1]);
    let value = keys.seal(&app("todos"), BOUND).unwrap();
    let find = |field: &str| keys.find(&app("todos"), COOKIE, std::iter::once(field.as_bytes()));
    for (field, found) in [
        (format!("karman={value}"), true),
        (format!("a=b; karman={value}; c=d"), true),
        (format!("a=b;karman={value}"), true),
        (format!("karman=forged; karman={value}"), true),
        (format!("xkarman={value}"), false),
        (format!("karman2={value}"), false),
        (format!("Karman={value}"), false),
        (format!("a=karman={value}"), false),
        (format!("__Host-karman={value}"), false),
        (format!("{}karman={value}", "karman=x; ".repeat(100)), false),
        ("karman".to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(find(&field).is_some(), found, "{field}");
    }
}

#[test]
fn the_app_sees_every_cookie_but_ours() {
    for (field, wanted) in [
        ("a=b; c=d", None),
        ("xkarman=1", None),
        ("karman=1", Some("")),
        ("a=b; karman=1; c=\"d e\"", Some("a=b; c=\"d e\"")),
        ("karman=1; __Host-karman=2; karman=3; z=1", Some("z=1")),
        (" ; karman=1;; a=b;", Some("a=b")),
    ] {
        let seen = without_ours(field.as_bytes());
        assert_eq!(seen.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap()), wanted, "{field}");
    }
}

proptest! {
    /// Whatever stands around it, ours is found, and only ours is taken out.
    #[test]
    fn our_cookie_is_found_and_taken_out_among_any_others(
        before in prop::collection::vec("[a-z]{1,8}=[!-:<-~]{0,12}", 0..5),
        after in prop::collection::vec("[a-z]{1,8}=[!-:<-~]{0,12}", 0..5),
        secure in any::<bool>(),
    ) {
        let keys = keys(&[1]);
        let name = if secure { COOKIE_SECURE } else { COOKIE };
        let value = keys.seal(&app("todos"), BOUND).unwrap();
        let others: Vec<_> = before.iter().chain(&after).filter(|pair| !pair.starts_with("karman=")).cloned().collect();
        let (before, after) = others.split_at(before.len().min(others.len()));
        let field = [before, &[format!("{name}={value}")], after].concat().join("; ");
        prop_assert_eq!(keys.find(&app("todos"), name, std::iter::once(field.as_bytes())), Some(BOUND));
        prop_assert_eq!(without_ours(field.as_bytes()), Some(others.join("; ").into_bytes()));
    }

    #[test]
    fn any_bytes_are_no_binding(fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
        prop_assert_eq!(keys(&[1]).find(&app("todos"), COOKIE, fields.iter().map(Vec::as_slice)), None);
        for field in &fields {
            if let Some(kept) = without_ours(field) {
                prop_assert!(kept.len() < field.len());
                prop_assert_eq!(without_ours(&kept), None, "nothing of ours is left");
            }
        }
    }
}

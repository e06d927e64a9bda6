//! Documents through their whole life: pushed, refused, saved, loaded again.

use karman_contract::document::{AppsDelta, AppsDocument, from_json};
use proptest::prelude::*;

use super::*;
use crate::table::Apps;

fn load(dir: &Path) -> Held<Apps> {
    let restored = Held::<Apps>::load(dir).unwrap();
    assert!(restored.warnings.is_empty(), "{:?}", restored.warnings);
    restored.held
}

fn app(n: u64) -> String {
    format!(r#""app-{n}":{{"hosts":["a{n}.example.com"],"instances":{{}}}}"#)
}

fn document(generation: u64, apps: std::ops::Range<u64>) -> AppsDocument {
    let apps: Vec<_> = apps.map(app).collect();
    from_json(&format!(r#"{{"generation":{generation},"apps":{{{}}}}}"#, apps.join(","))).unwrap()
}

fn delta(generation: u64, base: u64, put: &[u64], remove: &[u64]) -> AppsDelta {
    let put: Vec<_> = put.iter().map(|n| app(*n)).collect();
    let remove: Vec<_> = remove.iter().map(|n| format!("\"app-{n}\"")).collect();
    let json =
        format!(r#"{{"generation":{generation},"base":{base},"put":{{{}}},"remove":[{}]}}"#, put.join(","), remove.join(","));
    from_json(&json).unwrap()
}

#[test]
fn what_was_live_is_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let held = load(dir.path());
    assert_eq!(held.status(), DocumentStatus::default());
    assert!(held.put(document(1, 0..3), drop).unwrap().saved);
    assert!(held.patch(delta(2, 1, &[7], &[0]), drop).unwrap().saved);
    assert!(held.patch(delta(3, 2, &[8], &[]), drop).unwrap().saved);
    let hash = held.live.pin().hash().to_owned();
    drop(held);
    let again = load(dir.path());
    assert_eq!(again.live.pin().hash(), hash);
    assert_eq!(again.live.pin().stamp(), Some(Stamp { epoch: 0, generation: 3 }));
}

#[test]
fn the_same_again_is_current_and_the_rest_has_its_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let held = load(dir.path());
    let current = Stamp { epoch: 0, generation: 2 };
    assert!(matches!(held.patch(delta(2, 1, &[1], &[]), drop), Err(Refusal::BaseMismatch { .. })), "there is no base yet");
    held.put(document(2, 0..3), drop).unwrap();
    assert_eq!(held.put(document(2, 0..3), drop).unwrap().outcome, Outcome::Current);
    let attempted = Stamp { epoch: 0, generation: 1 };
    assert_eq!(held.put(document(1, 0..3), drop), Err(Refusal::Stale { current, attempted }));
    assert_eq!(held.put(document(2, 0..4), drop), Err(Refusal::Stale { current, attempted: current }));
    assert_eq!(held.patch(delta(9, 8, &[1], &[]), drop), Err(Refusal::BaseMismatch { current }));
    assert_eq!(held.patch(delta(3, 2, &[5], &[1]), drop).unwrap().outcome, Outcome::Applied);
    assert_eq!(held.patch(delta(3, 2, &[5], &[1]), drop).unwrap().outcome, Outcome::Current, "sent twice");
}

#[test]
fn a_mass_removal_wants_to_be_insisted_on() {
    let dir = tempfile::tempdir().unwrap();
    let held = load(dir.path());
    held.put(document(1, 0..20), drop).unwrap();
    assert_eq!(held.put(document(2, 0..9), drop), Err(Refusal::MassRemoval { removes: 11, of: 20 }));
    assert_eq!(held.live.pin().len(), 20);
    let gone: Vec<u64> = (0..11).collect();
    assert_eq!(held.patch(delta(2, 1, &[], &gone), drop), Err(Refusal::MassRemoval { removes: 11, of: 20 }));
    held.put(AppsDocument { force: true, ..document(2, 0..9) }, drop).unwrap();
    assert_eq!(held.live.pin().len(), 9);
}

#[test]
fn a_confirm_compares_content() {
    let dir = tempfile::tempdir().unwrap();
    let held = load(dir.path());
    held.put(document(1, 0..2), drop).unwrap();
    let hash = document(1, 0..2).hash();
    assert!(!held.confirm(&Confirmed { epoch: 0, generation: 1, hash: "00".to_owned() }));
    assert!(!held.confirm(&Confirmed { epoch: 0, generation: 2, hash: hash.clone() }));
    assert!(held.times().confirmed.is_none());
    assert!(held.confirm(&Confirmed { epoch: 0, generation: 1, hash }));
    assert!(held.times().confirmed.is_some());
}

#[test]
fn an_edge_keeps_its_own_key_until_it_is_given_others() {
    let dir = tempfile::tempdir().unwrap();
    let todos = "todos".parse().unwrap();
    let bound = crate::sticky::Bound { release: 1, tag: 2 };
    let (keys, _) = HeldKeys::load(dir.path()).unwrap();
    let sealed = keys.live.pin().seal(&todos, bound).unwrap();
    drop(keys);
    let (keys, _) = HeldKeys::load(dir.path()).unwrap();
    assert_eq!(keys.live.pin().open(&todos, &sealed), Some(bound), "cookies hold over a restart");
    assert_eq!(keys.status(), DocumentStatus::default());
    let document =
        KeysDocument { cookie: vec![SecretKey(vec![7; 32])], stamp: Stamp { epoch: 0, generation: 1 }, ticket: Vec::new() };
    assert_eq!(keys.put(document.clone()).unwrap().outcome, Outcome::Applied);
    assert_eq!(keys.put(document).unwrap().outcome, Outcome::Current);
    assert_eq!(keys.live.pin().open(&todos, &sealed), None);
    assert!(keys.status().hash.is_some());
}

use karman_contract::document::{KeysDocument, SecretKey};

/// Documents of apps with a part replaced, removed, doubled or cut.
fn almost_a_document() -> impl Strategy<Value = Vec<u8>> {
    const GOOD: &str = r#"{"epoch":1,"generation":2,"apps":{"todos":{"owner":"acme","hosts":["a.example.com","*.b.example.com"],"state":"running","instances":{"a":{"address":"10.0.0.1:3000","release":7,"state":"ready"}},"limits":{"queue":1},"deny":[{"net":"203.0.113.0/24"}]}}}"#;
    let junk = prop::sample::select(vec![
        "",
        "null",
        "{}",
        "[]",
        "\"\"",
        "-1",
        "1e999",
        "18446744073709551616",
        "\"\\u0000\"",
        "{{",
        "]",
        ",",
        "\u{fe0f}",
        "\"a\":1,",
        "[[[[[[[[",
    ]);
    (0..GOOD.len(), 0..40_usize, junk).prop_map(|(at, length, junk)| {
        let end = (at + length).min(GOOD.len());
        format!("{}{junk}{}", &GOOD[..at], &GOOD[end..]).into_bytes()
    })
}

proptest! {
    /// Junk is refused with reasons; what is taken says the same when it is written and read again.
    #[test]
    fn a_document_is_taken_whole_or_refused(text in prop_oneof![3 => almost_a_document(), 1 => prop::collection::vec(any::<u8>(), 0..100)]) {
        let Ok(text) = String::from_utf8(text) else { return Ok(()) };
        match from_json::<AppsDocument>(&text) {
            Ok(document) => {
                let again = from_json::<AppsDocument>(&document.to_json());
                prop_assert_eq!(again.map(|again| again.to_json()).ok(), Some(document.to_json()));
            }
            Err(reasons) => prop_assert!(!reasons.is_empty()),
        }
    }
}

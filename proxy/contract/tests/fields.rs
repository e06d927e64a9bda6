//! The list of fields against the readers: what `fields` says is what is read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use karman_contract::document::{AppsDocument, CertificatesDocument, KeysDocument, PagesDocument};
use karman_contract::fields;
use karman_contract::read::{Read, Reason, Unreadable};
use serde_json::{Value, json};

/// In place of an id, a name or an index, which the paths of fields have as `*`.
const KEYS: &[&str] = &["an-app", "an-instance", "app-down", "a-certificate", "a-host", PAGE];
const PAGE: &str = "sha256-b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";
const STRANGE: &str = "strange";
/// The stamp and `force`, which are no content.
const FRAME: &[&str] = &["epoch", "generation", "force"];

/// Every field that can stand in a document stands in one of these.
fn full() -> [Value; 4] {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    [
        json!({"generation": 1, "apps": {"an-app": {
            "deny": [{"net": "203.0.113.0/24", "until": "2026-12-01T00:00:00Z", "why": "scraper"}],
            "drain": {"sticky": "move", "window_seconds": 30},
            "health": {"expect": "any", "interval_seconds": 10, "path": "/", "timeout_seconds": 5},
            "hosts": ["a.test"],
            "https": "auto",
            "instances": {"an-instance": {"address": "10.0.0.1:3000", "release": 7, "state": "ready"}},
            "limits": {"body_bytes": 1, "connections": 1, "queue": 1, "queue_seconds": 1, "requests_in_flight": 1,
                "requests_per_second_per_client": 1, "sockets": 1, "sockets_per_second": 1, "sockets_per_second_per_client": 1},
            "note": {"by": "ci", "why": "release 7"},
            "on_crash": {"hold_seconds": 30, "then": "spread"},
            "owner": "acme",
            "pages": {"app-down": PAGE},
            "sockjs": {"info": "edge", "prefix": "/sockjs"},
            "state": "running",
            "sticky": "cookie",
            "timeouts": {"connect_seconds": 3, "first_byte_seconds": 30, "idle_seconds": 60, "tunnel_idle_seconds": 120},
            "warm_seconds": 30,
        }}}),
        json!({"generation": 1, "pages": {PAGE: "foo\n"}}),
        json!({"generation": 1, "certificates": {"a-certificate": {"chain": "", "key": "", "names": ["a.test"]}},
            "accounts": ["thumb"], "challenges": {"alpn": {"a-host": {"chain": "", "key": ""}}}}),
        json!({"generation": 1, "cookie": [key], "ticket": [key]}),
    ]
}

#[test]
fn every_field_that_is_read_is_listed_and_no_other() {
    let [apps, pages, certificates, keys] = full();
    let mut read = BTreeSet::new();
    read.extend(leaves::<AppsDocument>(&apps));
    read.extend(leaves::<PagesDocument>(&pages));
    read.extend(leaves::<CertificatesDocument>(&certificates));
    read.extend(leaves::<KeysDocument>(&keys));
    let listed: BTreeSet<_> = fields::all().map(str::to_owned).collect();
    assert_eq!(read, listed);
    assert_eq!(fields::all().count(), listed.len(), "no field stands there twice");
}

#[test]
fn what_is_harmless_is_a_field_of_apps_or_above_one() {
    for harmless in fields::HARMLESS {
        assert!(harmless.starts_with("apps.*.") && fields::all().any(|field| field.starts_with(harmless)), "{harmless}");
    }
    for (path, wanted) in [("apps.*.note", true), ("apps.*.note.by", true), ("apps.*.notes", false), ("apps.*.deny", false)] {
        assert_eq!(fields::is_harmless(path), wanted, "{path}");
    }
}

/// The fields without fields of their own that a reader of `D` knows, by their paths.
fn leaves<D: Read>(full: &Value) -> BTreeSet<String> {
    D::read_json(full.to_string().as_bytes()).unwrap_or_else(|why| panic!("{full} is read: {:?}", reasons(why)));
    let mut asked = full.clone();
    ask(&mut asked);
    let told = D::read_json(asked.to_string().as_bytes()).map(drop).expect_err("a strange field is refused");
    let known: BTreeSet<String> = reasons(told).iter().flat_map(known_at).collect();
    let mut leaves = BTreeSet::new();
    stand_in(full, "", &mut leaves);
    let is_above = |path: &String| leaves.iter().any(|leaf| leaf.starts_with(&format!("{path}.")));
    for path in &known {
        assert!(leaves.contains(path) || is_above(path), "'{path}' can be read, and is missing in this test's document");
    }
    leaves
}

/// Puts a field that nobody knows into every map, so that each says what it knows.
fn ask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(ask);
            fields.insert(STRANGE.to_owned(), Value::Null);
        }
        Value::Array(items) => items.iter_mut().for_each(ask),
        _ => {}
    }
}

fn reasons(unreadable: Unreadable) -> Vec<Reason> {
    unreadable.into()
}

/// The fields that a reason says are known beside the strange one.
fn known_at(reason: &Reason) -> Vec<String> {
    let Some((_, known)) = reason.why.split_once("known here: ") else { return Vec::new() };
    let above = reason.at.strip_suffix(STRANGE).unwrap();
    let steps = above.split(['.', '[']).map(|step| if KEYS.contains(&step) || step.ends_with(']') { "*" } else { step });
    let above: Vec<_> = steps.filter(|step| !step.is_empty()).collect();
    let path = |name: &str| above.iter().copied().chain([name]).collect::<Vec<_>>().join(".");
    known.split(", ").filter(|name| !above.is_empty() || !FRAME.contains(name)).map(path).collect()
}

/// The paths of what stands in a document and has no fields of its own.
fn stand_in(value: &Value, path: &str, leaves: &mut BTreeSet<String>) {
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !path.is_empty() || !FRAME.contains(&name.as_str())) {
                stand_in(value, &below(if KEYS.contains(&name.as_str()) { "*" } else { name }), leaves);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| stand_in(item, &below("*"), leaves));
        }
        _ => drop(leaves.insert(path.to_owned())),
    }
}

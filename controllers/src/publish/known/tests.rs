//! What is sent to a proxy that knows less, as a table.

use std::sync::Arc;

use karman_contract::app::App;
use karman_contract::document::{
    AppsDelta, AppsDocument, Certificate, CertificatesDelta, CertificatesDocument, Document, Item, KeysDocument, from_json,
    hash_text,
};
use karman_contract::fields;
use serde_json::{Value, json};

use super::{Content, Known};
use crate::publish::left_out::LeftOut;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A proxy that knows all but what is below these paths.
fn without(unknown: &[&str]) -> Known {
    let is_unknown = |field: &str| unknown.iter().any(|path| field == *path || field.starts_with(&format!("{path}.")));
    Known::new(&fields::all().filter(|field| !is_unknown(field)).map(str::to_owned).collect::<Vec<_>>())
}

fn content<I: Item>(document: Document<I>) -> Content<I> {
    let items = document.items.into_iter().map(|(key, item)| (key, Arc::new(item))).collect();
    Content { items, beside: document.beside }
}

fn apps() -> AppsDocument {
    let text = json!({"generation": 7, "apps": {
        "a": {"hosts": ["a.test"], "instances": {"a-1": {"address": "10.0.0.1:80"}}, "deny": [{"net": "10.0.0.0/8", "why": "x"}],
            "note": {"by": "me"}},
        "b": {"hosts": ["b.test"], "instances": {}},
    }});
    from_json(&text.to_string()).unwrap()
}

fn certificates() -> CertificatesDocument {
    let pair = json!({"chain": "c", "key": "k"});
    let text = json!({"generation": 7, "certificates": {"c": {"chain": "c", "key": "k", "names": ["a.test"]}},
        "accounts": ["thumb"], "challenges": {"alpn": {"b.test": pair}}});
    from_json(&text.to_string()).unwrap()
}

#[test]
fn an_app_goes_without_what_its_proxy_does_not_know() {
    for (unknown, gone, missing) in [
        (&["apps.*.note"][..], &["/apps/a/note"][..], "apps.*.note of a"),
        (&["apps.*.deny"], &["/apps/a/deny"], "apps.*.deny of a"),
        (&["apps.*.deny.*.why"], &["/apps/a/deny/0/why"], "apps.*.deny.*.why of a"),
        (&["apps.*.limits.queue"], &["/apps/a/limits/queue", "/apps/b/limits/queue"], "apps.*.limits.queue of a b"),
        (&["apps.*.instances.*.release"], &["/apps/a/instances/a-1/release"], "apps.*.instances.*.release of a"),
        (&["apps.*.sockjs"], &["/apps/a/sockjs", "/apps/b/sockjs"], "apps.*.sockjs of a b"),
        (&["apps.*.health"], &[], ""),
        (&["certificates.*.names"], &[], ""),
    ] {
        let (document, known) = (apps(), without(unknown));
        let (stamp, whole) = (document.stamp, content(document.clone()));
        let mut wanted: Value = serde_json::from_str(&document.to_json()).unwrap();
        for pointer in gone {
            let (above, name) = pointer.rsplit_once('/').unwrap();
            wanted.pointer_mut(above).unwrap().as_object_mut().unwrap().remove(name).expect("it was there");
        }
        let sent: Value = serde_json::from_slice(&known.whole(stamp, &whole, false)).unwrap();
        assert_eq!(sent, wanted, "{unknown:?}");
        assert_eq!(known.hash(stamp, &whole), hash_text(&wanted.to_string()), "the hash is of what was sent");

        let delta =
            json!({"generation": 8, "base": 7, "put": serde_json::from_str::<Value>(&document.to_json()).unwrap()["apps"]});
        let delta: AppsDelta = from_json(&delta.to_string()).unwrap();
        let sent: Value = serde_json::from_slice(&known.delta(&delta)).unwrap();
        assert_eq!((&sent["put"], &sent["base"]), (&wanted["apps"], &json!(7)), "{unknown:?}");

        let mut left_out = LeftOut::<App>::default();
        left_out.look(&known, &whole.items);
        let found: Vec<_> =
            left_out.by_field().iter().map(|(field, without)| format!("{field} of {}", without.named.join(" "))).collect();
        assert_eq!(found.join(" "), missing);
    }
}

#[test]
fn an_app_that_is_not_what_it_should_be_without_a_field_is_named() {
    for (unknown, wanted) in [
        (&["apps.*.note"][..], &[][..]),
        (&["apps.*.deny"], &["apps.a.deny"]),
        (&["apps.*.note.by", "apps.*.deny.*.until"], &[]),
        (&["apps.*.note", "apps.*.instances.*.address"], &["apps.a.instances.*.address"]),
    ] {
        let mut left_out = LeftOut::<App>::default();
        left_out.look(&without(unknown), &content(apps()).items);
        let found: Vec<_> = left_out.mattering().into_iter().map(|reason| reason.at).collect();
        assert_eq!(found, wanted, "{unknown:?}");
    }
}

#[test]
fn what_stands_beside_the_items_is_left_out_too() {
    let (document, known) = (certificates(), without(&["challenges", "certificates.*.names"]));
    let whole = content(document.clone());
    let sent: Value = serde_json::from_slice(&known.whole::<Certificate>(document.stamp, &whole, true)).unwrap();
    let wanted = json!({"accounts": ["thumb"], "certificates": {"c": {"chain": "c", "key": "k"}}, "epoch": 0, "generation": 7});
    assert_eq!(known.hash(document.stamp, &whole), hash_text(&wanted.to_string()));
    let mut forced = wanted;
    forced["force"] = json!(true);
    assert_eq!(sent, forced);

    let delta: CertificatesDelta = from_json(r#"{"generation":8,"base":7,"accounts":["t"],"challenges":{"alpn":{}}}"#).unwrap();
    let sent: Value = serde_json::from_slice(&known.delta(&delta)).unwrap();
    assert_eq!((&sent["accounts"], sent.get("challenges")), (&json!(["t"]), None));

    let document = json!({"generation": 3, "cookie": [KEY], "ticket": [KEY]});
    let document: KeysDocument = from_json(&document.to_string()).unwrap();
    let wanted = json!({"cookie": [KEY], "epoch": 0, "generation": 3}).to_string();
    let known = without(&["ticket"]);
    assert_eq!((known.keys(&document), known.hash_of_keys(&document)), (wanted.clone(), hash_text(&wanted)));
    assert_eq!(Known::default().hash_of_keys(&document), document.hash());
}

#[test]
fn a_proxy_that_does_not_say_what_it_knows_knows_the_first_fields() {
    let said: Vec<String> = fields::FIRST.iter().map(|field| (*field).to_owned()).collect();
    assert_eq!(Known::new(&[]).is_all(), Known::new(&said).is_all());
    assert!(Known::new(&fields::all().chain(["apps.*.tomorrow"]).map(str::to_owned).collect::<Vec<_>>()).is_all());
    let document = apps();
    let (stamp, whole) = (document.stamp, content(document.clone()));
    assert_eq!(Known::default().whole(stamp, &whole, false), document.to_json().into_bytes());
}

#[test]
fn whoever_hashes_is_asked_now_and_then_whether_to_go_on() {
    let apps: Vec<_> =
        (0..100).map(|n| format!("\"app-{n}\": {{\"hosts\": [\"h-{n}.example.com\"], \"instances\": {{}}}}")).collect();
    let document: AppsDocument = from_json(&format!("{{\"generation\": 7, \"apps\": {{{}}}}}", apps.join(","))).unwrap();
    let (stamp, whole, known) = (document.stamp, content(document), Known::default());
    for (goes_on_for, wanted) in [(99, Some(known.hash(stamp, &whole))), (1, None), (0, None)] {
        let mut asked = 0;
        let hash = known.hash_while(stamp, &whole, || {
            asked += 1;
            asked <= goes_on_for
        });
        assert_eq!((hash, asked), (wanted, 3.min(goes_on_for + 1)), "{goes_on_for}");
    }
}

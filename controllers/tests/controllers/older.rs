//! A proxy that is older than its publisher, and knows less: an admin socket of the test's own.

use std::collections::BTreeSet;

use karman_contract::document::hash_text;
use karman_contract::fields;
use serde_json::{Value, json};

use crate::admin_socket::{Call, applied, listen, next_change, status};
use crate::edge::Edge;
use crate::program::wait_until;

/// Knows all but some fields, and refuses what it does not know, as proxies do.
struct Older {
    unknown: &'static [&'static str],
    apps: Value,
}

impl Older {
    fn without(unknown: &'static [&'static str]) -> Self {
        Self { unknown, apps: Value::Null }
    }

    fn answer(&mut self, call: &Call) -> (u16, Value) {
        match call.what.as_str() {
            "GET /v1/status" => {
                let (code, mut status) = status(json!({"apps": self.document()}));
                let is_unknown = |field: &&str| self.unknown.iter().any(|path| field.starts_with(path));
                status["fields"] = fields::all().filter(|field| !is_unknown(field)).collect();
                (code, status)
            }
            "POST /v1/confirm" if call.body["apps"]["hash"] == self.document()["hash"] => (200, json!({"differs": []})),
            "POST /v1/confirm" => (409, json!({"differs": ["apps"]})),
            "PUT /v1/apps" => self.change(call, "apps", |apps, body| *apps = body.clone()),
            "PATCH /v1/apps" => self.change(call, "put", |apps, body| {
                apps["generation"] = body["generation"].clone();
                apps["apps"].as_object_mut().unwrap().extend(body["put"].as_object().unwrap().clone());
            }),
            _ => applied(&call.body),
        }
    }

    /// As `GET /v1/status` tells of it. What came was canonical, and stays so.
    fn document(&self) -> Value {
        if self.apps.is_null() {
            return json!({});
        }
        json!({"epoch": self.apps["epoch"], "generation": self.apps["generation"], "hash": hash_text(&self.apps.to_string())})
    }

    fn change(&mut self, call: &Call, items: &str, change: impl FnOnce(&mut Value, &Value)) -> (u16, Value) {
        let names: BTreeSet<_> = self.unknown.iter().map(|path| path.trim_start_matches("apps.*.").replace('.', "/")).collect();
        for (id, app) in call.body[items].as_object().unwrap() {
            if let Some(name) = names.iter().find(|name| app.pointer(&format!("/{name}")).is_some()) {
                let reason = json!({"at": format!("{items}.{id}"), "why": format!("there is no such field as {name}")});
                return (422, json!({"error": "refused", "reasons": [reason]}));
            }
        }
        change(&mut self.apps, &call.body);
        applied(&call.body)
    }
}

#[test]
fn what_a_proxy_does_not_know_is_left_out_and_said_and_stops_nobody() {
    let mut edge = Edge::with(&[
        ("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: 7\nnote: {by: ci}\n"),
        ("apps/b.yaml", "hosts: [b.test]\n"),
    ]);
    let mut older = Older::without(&["apps.*.note", "apps.*.warm_seconds"]);
    let calls = listen(&edge.socket(), move |call| older.answer(call));
    edge.start_publisher();
    let whole = next_change(&calls);
    assert_eq!(whole.what, "PUT /v1/apps");
    assert_eq!(whole.body["apps"]["a"]["limits"]["sockets"], 20_000, "all that it knows is there");
    edge.publisher().wait_for("the edge lone does not know 'apps.*.note': it serves 1 without it (a)");
    edge.publisher().wait_for("the edge lone does not know 'apps.*.warm_seconds': it serves 2 without it (a, b)");
    edge.wait_until_live();
    assert_eq!(edge.report()["refused"], json!({}));
    let text = edge.karman(&["status"]).stdout;
    assert!(text.contains("the edge lone does not know 'apps.*.note': it serves 1 without it (a)"), "{text}");
    assert!(text.contains("live, but for what is below"), "{text}");

    edge.write("apps/b.yaml", "hosts: [b.test]\nlimits: {queue: 3}\n");
    let delta = next_change(&calls);
    assert_eq!((delta.what.as_str(), &delta.body["put"]["b"]["limits"]["queue"]), ("PATCH /v1/apps", &json!(3)));

    // What it was sent is known again, by the hash of that.
    edge.kill_publisher();
    edge.start_publisher();
    edge.publisher().wait_for("the edge lone does not know 'apps.*.note'");
    let confirmed = || calls.try_iter().any(|call| call.what == "POST /v1/confirm" && call.body["apps"].is_object());
    wait_until("it is confirmed", confirmed);
    edge.write("apps/c.yaml", "hosts: [c.test]\n");
    let delta = next_change(&calls);
    assert_eq!(delta.what, "PATCH /v1/apps");
    assert_eq!(delta.body["put"].as_object().unwrap().keys().collect::<Vec<_>>(), ["c"]);
    assert!(!edge.publisher().said().contains("repairing"), "{}", edge.publisher().said());
}

#[test]
fn an_app_with_a_field_that_matters_and_is_not_known_stays_as_its_proxy_has_it() {
    let mut edge =
        Edge::with(&[("apps/a.yaml", "hosts: [a.test]\ndeny: [{net: 10.0.0.0/8}]\n"), ("apps/b.yaml", "hosts: [b.test]\n")]);
    let mut older = Older::without(&["apps.*.deny"]);
    let calls = listen(&edge.socket(), move |call| older.answer(call));
    edge.start_publisher();
    edge.publisher().wait_for("the proxy keeps what it has of a: apps.a.deny: this proxy does not know the field");
    let whole = next_change(&calls);
    assert_eq!(whole.body["apps"].as_object().unwrap().keys().collect::<Vec<_>>(), ["b"], "it has no good version of the other");

    edge.write("apps/a.yaml", "hosts: [a.test]\n");
    let delta = next_change(&calls);
    assert_eq!(delta.body["put"].as_object().unwrap().keys().collect::<Vec<_>>(), ["a"]);
    // Told of a little later than done: what is read below must not be what was said at first.
    wait_until("it is not named any more", || edge.report()["refused"]["a"].is_null());
    edge.write("apps/a.yaml", "hosts: [a.test, www.a.test]\ndeny: [{net: 10.0.0.0/8}]\n");
    wait_until("it is named", || !edge.report()["refused"]["a"].is_null());
    edge.write("apps/b.yaml", "hosts: [b.test]\nwarm_seconds: 3\n");
    let delta = next_change(&calls);
    assert_eq!(delta.body["put"].as_object().unwrap().keys().collect::<Vec<_>>(), ["b"]);
    assert!(edge.karman(&["status"]).stdout.contains("apps.a.deny"));
}

#[test]
fn a_proxy_that_learned_a_field_gets_it() {
    let mut edge = Edge::with(&[("apps/a.yaml", "hosts: [a.test]\ndeny: [{net: 10.0.0.0/8}]\n")]);
    let socket = edge.socket();
    let mut proxy = Older::without(&["apps.*.deny"]);
    let calls = listen(&socket, move |call| {
        if call.what == "GET /v1/upgrade" {
            proxy.unknown = &[];
        }
        proxy.answer(call)
    });
    edge.start_publisher();
    assert_eq!(next_change(&calls).body["apps"]["a"].get("deny"), None);
    edge.wait_until_live();
    edge.kill_publisher();
    let _ = edge.try_get("/v1/upgrade");
    edge.start_publisher();
    assert_eq!(next_change(&calls).body["apps"]["a"]["deny"][0]["net"], "10.0.0.0/8");
    wait_until("nothing is left out", || edge.report()["without"].is_null() && edge.report()["up_to_date"] == true);
}

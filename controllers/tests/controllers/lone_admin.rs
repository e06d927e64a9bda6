//! What a real proxy cannot be made to say.

use std::fs;
use std::sync::mpsc;

use serde_json::{Value, json};

use crate::admin_socket::{applied, listen, next_change, status};
use crate::edge::Edge;
use crate::program::{PATIENCE, wait_until};

#[test]
fn a_wrong_base_is_answered_with_the_whole_document() {
    let mut edge = Edge::with(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let calls = listen(&edge.socket(), |call| match call.what.as_str() {
        "GET /v1/status" => status(json!({})),
        "PATCH /v1/apps" => {
            let base = json!({"epoch": call.body["epoch"], "generation": 0});
            (412, json!({"error": "base-mismatch", "current": base}))
        }
        "POST /v1/confirm" => (200, json!({"differs": []})),
        _ => applied(&call.body),
    });
    edge.start_publisher();
    assert_eq!(next_change(&calls).what, "PUT /v1/apps");
    edge.wait_until_live();
    edge.write("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: 3\n");
    let delta = next_change(&calls);
    assert_eq!((delta.what.as_str(), &delta.body["put"]["a"]["warm_seconds"]), ("PATCH /v1/apps", &json!(3)));
    let whole = next_change(&calls);
    assert_eq!((whole.what.as_str(), &whole.body["apps"]["a"]["warm_seconds"]), ("PUT /v1/apps", &json!(3)));
}

#[test]
fn a_refused_app_holds_back_nobody_and_is_shown() {
    let mut edge = Edge::with(&[("apps/bad.yaml", "hosts: [bad.test]\n"), ("apps/good.yaml", "hosts: [good.test]\n")]);
    let calls = listen(&edge.socket(), |call| {
        // An older proxy that knows no app named "bad" with more than nothing.
        let bad = ["apps", "put"].into_iter().find(|field| call.body[*field]["bad"].is_object());
        match (call.what.as_str(), bad) {
            ("GET /v1/status", _) => status(json!({})),
            ("POST /v1/confirm", _) => (200, json!({"differs": []})),
            (_, Some(field)) => {
                (422, json!({"error": "refused", "reasons": [{"at": format!("{field}.bad.hosts[0]"), "why": "not this one"}]}))
            }
            _ => applied(&call.body),
        }
    });
    edge.start_publisher();
    assert!(next_change(&calls).body["apps"]["bad"].is_object());
    let rest = next_change(&calls);
    assert_eq!(rest.body["apps"].as_object().unwrap().keys().collect::<Vec<_>>(), ["good"]);
    edge.publisher().wait_for("the proxy keeps what it has of bad: apps.bad.hosts[0]: not this one");
    wait_until("the store has its report", || edge.report()["refused"]["bad"].is_array());
    let status = edge.karman(&["status"]);
    assert!(status.stdout.contains("the proxy keeps what it has of bad"), "{status:?}");

    edge.write("apps/good.yaml", "hosts: [good.test]\nwarm_seconds: 3\n");
    let delta = next_change(&calls);
    assert_eq!(delta.body["put"].as_object().unwrap().keys().collect::<Vec<_>>(), ["good"], "and it is not sent again");
    edge.write("apps/bad.yaml", "hosts: [bad2.test]\n");
    assert!(next_change(&calls).body["put"]["bad"].is_object(), "until it changes");
}

#[test]
fn pages_come_before_the_apps_that_name_them() {
    let mut edge =
        Edge::with(&[("apps/a.yaml", "hosts: [a.test]\npages: {app-down: pages/down.html}\n"), ("pages/down.html", "down\n")]);
    let calls = listen(&edge.socket(), |call| match call.what.as_str() {
        "GET /v1/status" => status(json!({})),
        "POST /v1/confirm" => (200, json!({"differs": []})),
        _ => applied(&call.body),
    });
    edge.start_publisher();
    let order = [next_change(&calls).what, next_change(&calls).what];
    assert_eq!(order, ["PUT /v1/pages", "PUT /v1/apps"]);
    edge.wait_until_live();
    edge.write("pages/down.html", "still down\n");
    let pages = next_change(&calls);
    assert_eq!(pages.what, "PATCH /v1/pages");
    assert_eq!(pages.body["remove"], json!([]), "the old page goes on while the app names it");
    assert_eq!(next_change(&calls).what, "PATCH /v1/apps");
}

#[test]
fn an_answer_that_makes_no_sense_is_said_and_tried_again() {
    let mut edge = Edge::with(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let calls = listen(&edge.socket(), |_| (200, json!({"hello": "world"})));
    edge.start_publisher();
    edge.publisher().wait_for("its answer cannot be read");
    for _ in 0..3 {
        calls.recv_timeout(PATIENCE).expect("it tries again");
    }
    assert_eq!(edge.publisher().said().matches("cannot be read").count(), 1, "and says so once");
    let status = edge.karman(&["status"]);
    assert_eq!(status.code, 69);
    assert!(status.stderr.contains("not as a Karman proxy of this release"), "{status:?}");
}

#[test]
fn what_a_store_may_have_lost_is_written_down_before_anything_of_it_goes_out() {
    let mut edge = Edge::with(&[("apps/new.yaml", "hosts: [new.test]\n")]);
    let reports = edge.path("status/publish");
    let (tell, written) = mpsc::channel();
    let calls = listen(&edge.socket(), move |call| match call.what.as_str() {
        "GET /v1/status" => status(json!({"apps": {"epoch": 1, "generation": 5, "hash": "of another store"}})),
        "POST /v1/confirm" => (200, json!({"differs": []})),
        what if what.starts_with("GET /v1/apps") => {
            (200, json!({"epoch": 1, "generation": 5, "apps": {"old": {"hosts": ["old.test"], "instances": {}}}}))
        }
        _ => {
            let files = fs::read_dir(&reports).into_iter().flatten().flatten();
            let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
            tell.send(texts.filter_map(|text| serde_json::from_str(&text).ok()).collect::<Vec<Value>>()).unwrap();
            applied(&call.body)
        }
    });
    edge.start_publisher();
    let whole = next_change(&calls);
    assert_eq!(whole.body["apps"].as_object().unwrap().keys().collect::<Vec<_>>(), ["new", "old"]);
    let written = written.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(&written[..], [report] if report["held"]["apps"] == json!(["old"])), "{written:?}");
    assert_eq!(written[0]["up_to_date"], false);
    edge.wait_until_live();
}

//! What a real proxy cannot be made to say: an admin socket of the test's own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use crate::edge::Edge;
use crate::program::PATIENCE;

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) what: String,
    pub(crate) body: Value,
}

/// Answers each call by `answer`, and tells the test of it.
pub(crate) fn listen(socket: &Path, mut answer: impl FnMut(&Call) -> (u16, Value) + Send + 'static) -> mpsc::Receiver<Call> {
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    let (tell, calls) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some(call) = read(&stream) else { continue };
            let (status, body) = match call.what.as_str() {
                "GET /v1/events" => (404, json!({"error": "not-found", "what": "events"})),
                _ => answer(&call),
            };
            let body = body.to_string();
            let length = body.len();
            let _ = write!(&stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = tell.send(call);
        }
    });
    calls
}

fn read(stream: &UnixStream) -> Option<Call> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some((_, value)) = line.to_ascii_lowercase().split_once("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let what = first.rsplit_once(' ')?.0.to_owned();
    Some(Call { what, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

pub(crate) fn status(documents: Value) -> (u16, Value) {
    (
        200,
        json!({"version": "0.1.0", "contract": 1, "edge": {"name": "lone", "region": "here"}, "started_at": "2026-11-23T08:00:00Z",
            "draining": false, "connections": 0, "tunnels": 0, "bound": {"http": [], "https": []}, "documents": documents, "processes": []}),
    )
}

pub(crate) fn applied(body: &Value) -> (u16, Value) {
    (200, json!({"outcome": "applied", "epoch": body["epoch"], "generation": body["generation"], "saved": true}))
}

/// The next call that changes something.
pub(crate) fn next_change(calls: &mpsc::Receiver<Call>) -> Call {
    loop {
        let call = calls.recv_timeout(PATIENCE).expect("the publisher calls");
        if call.what.starts_with("PUT") || call.what.starts_with("PATCH") {
            return call;
        }
    }
}

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
    edge.publisher().wait_for("the proxy refused bad and keeps what it has: apps.bad.hosts[0]: not this one");
    let status = edge.karman(&["status"]);
    assert!(status.stdout.contains("the proxy refused bad"), "{status:?}");

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

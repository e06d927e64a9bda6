//! What programs of the first commit with a publisher said, replayed: `controllers/tests/skew.sh --record` wrote it down.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::admin_socket::listen;
use crate::edge::Edge;
use crate::program::wait_until;
use crate::recording::{STORE, change, read};

const OLD_PUBLISHER: &str = include_str!("../recorded/old-publisher.jsonl");
const OLD_PROXY: &str = include_str!("../recorded/old-proxy.jsonl");

#[test]
fn what_an_old_publisher_says_is_taken_as_it_was() {
    let mut edge = Edge::with(&[]);
    edge.start_proxy();
    let mut confirms = 0;
    for exchange in read(OLD_PUBLISHER) {
        let (method, path) = exchange["call"].as_str().unwrap().split_once(' ').unwrap();
        if method == "GET" {
            continue;
        }
        let (status, answer) = edge.call(method, path, &exchange["body"].to_string());
        assert_eq!((&json!(status), &answer), (&exchange["status"], &exchange["answer"]), "{exchange:#}");
        confirms += usize::from(path == "/v1/confirm");
    }
    assert!(confirms > 0, "the hashes of both are the same");
    assert_eq!(edge.apps(), ["a", "down"]);
    assert_eq!(edge.app("a", "/warm_seconds"), 3);
}

#[test]
fn an_old_proxy_is_told_what_it_was_told_and_is_understood() {
    let recorded = read(OLD_PROXY);
    let mut answers: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for exchange in recorded.iter().rev() {
        answers.entry(exchange["call"].as_str().unwrap().to_owned()).or_default().push(exchange.clone());
    }
    let mut edge = Edge::with(STORE);
    let calls = listen(&edge.socket(), move |call| {
        let of_call = answers.get_mut(&call.what).unwrap_or_else(|| panic!("nobody said {} before", call.what));
        let exchange = if of_call.len() > 1 { of_call.pop() } else { of_call.last().cloned() };
        let mut answer = exchange.unwrap()["answer"].clone();
        // This store was made at another time.
        for stamp in ["epoch", "generation"] {
            if answer.get(stamp).is_some() {
                answer[stamp] = call.body[stamp].clone();
            }
        }
        (200, answer)
    });
    edge.start_publisher();
    change(&mut edge);
    edge.wait_until_live();
    let mut said = Vec::new();
    wait_until("it confirms", || {
        said.extend(calls.try_iter());
        said.iter().any(|call| call.what == "POST /v1/confirm")
    });
    let is_change = |what: &str| what.starts_with("PUT") || what.starts_with("PATCH");
    let said = said.iter().map(|call| (call.what.as_str(), &call.body)).filter(|(what, _)| is_change(what));
    let recorded = recorded.iter().map(|exchange| (exchange["call"].as_str().unwrap(), &exchange["body"]));
    let recorded: Vec<_> = recorded.filter(|(what, _)| is_change(what)).map(|(what, body)| (what, timeless(body))).collect();
    assert_eq!(said.map(|(what, body)| (what, timeless(body))).collect::<Vec<_>>(), recorded);
    assert!(!edge.publisher().said().contains("WARN"), "{}", edge.publisher().said());
}

/// A document without its place in the order.
fn timeless(body: &Value) -> Value {
    let mut body = body.clone();
    for stamp in ["epoch", "generation", "base"] {
        body.as_object_mut().unwrap().remove(stamp);
    }
    body
}

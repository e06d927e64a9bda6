//! The controller `keys`: one that was killed, and the one that stood by.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{KARMAN, Program, karman, wait_until};

const ARGUMENTS: [&str; 3] = ["keys", "--store", "data"];

fn store() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    dir
}

fn list(dir: &Path, name: &str) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(dir.join(format!("data/keys/{name}.json"))).ok()?).ok()
}

#[test]
fn the_next_one_makes_what_the_killed_one_did_not_and_nothing_twice() {
    // When the kill comes, the second list is not begun, begun or there.
    for _ in 0..5 {
        let dir = store();
        let mut first = Program::start("first", KARMAN.as_ref(), dir.path(), ARGUMENTS);
        wait_until("it has begun", || list(dir.path(), "cookie").is_some());
        first.kill();
        let (cookie, ticket) = (list(dir.path(), "cookie"), list(dir.path(), "ticket"));
        let mut next = Program::start("next", KARMAN.as_ref(), dir.path(), ARGUMENTS);
        wait_until("the next one works", || {
            let holder = fs::read_to_string(dir.path().join("data/.karman/keys.lock")).unwrap_or_default();
            holder.contains(&next.pid().to_string()) && list(dir.path(), "ticket").is_some()
        });
        assert_eq!(list(dir.path(), "cookie"), cookie, "the list that was there is not made again");
        assert!(ticket.is_none() || list(dir.path(), "ticket") == ticket);
        let shown = karman(dir.path(), &["keys", "show", "--json", "--store", "data"]).json();
        for name in ["cookie", "ticket"] {
            assert_eq!(shown[name]["verify"], Value::Array(Vec::new()), "{name}: one key, which signs: {shown}");
        }
        next.kill();
    }
}

#[test]
fn one_that_stood_by_brings_in_the_next_key_when_the_first_is_gone() {
    let dir = store();
    let mut first = Program::start("first", KARMAN.as_ref(), dir.path(), ARGUMENTS);
    wait_until("both lists are there", || list(dir.path(), "ticket").is_some());
    let (cookie, ticket) = (list(dir.path(), "cookie").unwrap(), list(dir.path(), "ticket").unwrap());
    // To this one, half a day has gone by: ticket keys are to be changed, if it may.
    let mut second = Program::start_at("+13h", "second", dir.path(), &ARGUMENTS);
    let mut third = Program::start_at("+13h", "third", dir.path(), &ARGUMENTS);
    second.wait_for("this one stands by");
    third.wait_for("this one stands by");
    assert_eq!(list(dir.path(), "ticket").unwrap(), ticket, "who has no lease changes nothing");
    first.kill();
    wait_until("a new key comes in", || list(dir.path(), "ticket").is_some_and(|now| now["next"].is_object()));
    let now = list(dir.path(), "ticket").unwrap();
    assert_eq!(now["keys"], ticket["keys"], "the old one signs until every edge has the new one");
    assert_eq!(list(dir.path(), "cookie").unwrap(), cookie, "no clock changes the cookie's");
    wait_until("it is said", || [&second, &third].iter().any(|program| program.said().contains("the ticket keys changed")));
    let changed = [&second, &third].map(|program| program.said().matches("the ticket keys changed").count());
    assert_eq!(changed.iter().sum::<usize>(), 1, "one of the two did it: {changed:?}");
    second.kill();
    third.kill();
}

//! One list, several processes: what one writes all show, and no death of one harms it.

use std::fs::{self, OpenOptions};
use std::io::Write;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::ddp_client::Ddp;
use super::process::Sample;

#[tokio::test]
async fn a_change_on_one_instance_shows_on_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("todos.jsonl");
    let (a, b) = (Sample::sharing(&data, "todos-1-a").await, Sample::sharing(&data, "todos-1-b").await);
    let ((mut at_a, _), (mut at_b, _)) = (Ddp::watching_todos(&a).await, Ddp::watching_todos(&b).await);

    let (inserted, _) = at_a.call("todos.insert", json!(["seen from afar"])).await;
    let id = &inserted["result"];
    let added = at_b.next().await;
    assert_eq!((&added["msg"], &added["id"], &added["fields"]["text"]), (&json!("added"), id, &json!("seen from afar")));

    at_b.call("todos.toggle", json!([id])).await;
    let changed = json!({ "msg": "changed", "collection": "todos", "id": id, "fields": { "done": true } });
    assert_eq!(at_a.next().await, changed);

    at_a.call("todos.remove", json!([id])).await;
    assert_eq!(at_b.next().await, json!({ "msg": "removed", "collection": "todos", "id": id }));
}

#[tokio::test]
async fn the_list_outlives_its_processes_and_what_they_left_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("todos.jsonl");
    let a = Sample::sharing(&data, "todos-1-a").await;
    let mut at_a = Ddp::connect(&a).await;
    at_a.call("todos.insert", json!(["before"])).await;
    assert!(!a.stop(Signal::KILL).await.success());

    let mut file = OpenOptions::new().append(true).open(&data).unwrap();
    file.write_all(b"not json\n").unwrap();
    file.write_all(format!("{}\n", "x".repeat(100_000)).as_bytes()).unwrap();
    file.write_all(br#"{"insert":{"id":"torn","text":"half a li"#).unwrap();

    let b = Sample::sharing(&data, "todos-1-b").await;
    let (mut at_b, todos) = Ddp::watching_todos(&b).await;
    assert_eq!(texts(&todos), ["before"]);
    at_b.call("todos.insert", json!(["after"])).await;

    let c = Sample::sharing(&data, "todos-1-c").await;
    let (_, todos) = Ddp::watching_todos(&c).await;
    assert_eq!(texts(&todos), ["after", "before"]);
}

#[tokio::test]
async fn emptying_the_file_empties_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("todos.jsonl");
    let a = Sample::sharing(&data, "todos-1-a").await;
    let (mut ddp, _) = Ddp::watching_todos(&a).await;
    let (inserted, _) = ddp.call("todos.insert", json!(["soon gone"])).await;

    fs::write(&data, "").unwrap();
    assert_eq!(ddp.next().await, json!({ "msg": "removed", "collection": "todos", "id": inserted["result"] }));
    let (_, data) = ddp.call("todos.insert", json!(["a new start"])).await;
    assert_eq!(texts(&data), ["a new start"]);
}

fn texts(added: &[Value]) -> Vec<&str> {
    let mut texts: Vec<_> = added.iter().map(|message| message["fields"]["text"].as_str().unwrap()).collect();
    texts.sort_unstable();
    texts
}

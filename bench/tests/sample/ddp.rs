//! DDP on the raw `/websocket`: who may connect, what is answered, what is refused.

use serde_json::{Value, json};

use super::ddp_client::Ddp;
use super::process::Sample;

#[tokio::test]
async fn a_version_is_agreed_on_or_refused() {
    let sample = Sample::start().await;
    let check = async |version: Value, support: Value, wanted: Value| {
        let mut ddp = Ddp::open(&sample).await;
        ddp.send(json!({ "msg": "connect", "version": version, "support": support })).await;
        let answer = ddp.next().await;
        if wanted == "connected" {
            assert_eq!(answer["msg"], wanted, "{version} of {support}");
        } else {
            assert_eq!(answer, json!({ "msg": "failed", "version": wanted }), "{version} of {support}");
            ddp.ended().await;
        }
    };
    check(json!("1"), json!(["1", "pre2", "pre1"]), json!("connected")).await;
    check(json!("pre1"), json!(["pre1"]), json!("connected")).await;
    check(json!("pre2"), json!(["9", "pre2", "1"]), json!("connected")).await;
    check(json!("pre1"), json!(["1", "pre1"]), json!("1")).await; // the client itself prefers another
    check(json!("9"), json!(["9"]), json!("1")).await;
    check(json!("1"), json!(["pre2"]), json!("1")).await; // not what it says it supports
    check(json!(1), json!(["1"]), json!("1")).await;
}

#[tokio::test]
async fn what_is_malformed_is_answered_and_the_socket_stays() {
    let sample = Sample::start().await;
    let mut ddp = Ddp::open(&sample).await;
    ddp.send(json!({ "msg": "sub", "id": "1", "name": "todos" })).await;
    let early = ddp.next().await;
    assert_eq!((&early["reason"], &early["offendingMessage"]["msg"]), (&json!("Must connect first"), &json!("sub")));

    let mut ddp = Ddp::connect(&sample).await;
    for (text, reason) in [
        ("{", "Parse error"),
        ("[]", "Bad request"),
        ("null", "Bad request"),
        (r#"{"id":"1"}"#, "Bad request"),
        (r#"{"msg":"dance"}"#, "Bad request"),
        (r#"{"msg":"connect","version":"1","support":["1"]}"#, "Already connected"),
        (r#"{"msg":"sub","id":1,"name":"todos"}"#, "Malformed subscription"),
        (r#"{"msg":"sub","id":"1","name":"todos","params":{}}"#, "Malformed subscription"),
        (r#"{"msg":"method","id":"1"}"#, "Malformed method invocation"),
        (r#"{"msg":"method","id":"1","method":"echo","params":"x"}"#, "Malformed method invocation"),
    ] {
        ddp.send_text(text).await;
        let answer = ddp.next().await;
        assert_eq!((&answer["msg"], &answer["reason"]), (&json!("error"), &json!(reason)), "{text}");
    }
    ddp.send(json!({ "msg": "ping", "id": "still here" })).await;
    assert_eq!(ddp.next().await, json!({ "msg": "pong", "id": "still here" }));
    ddp.send(json!({ "msg": "ping" })).await;
    assert_eq!(ddp.next().await, json!({ "msg": "pong" }));
}

#[tokio::test]
async fn methods_answer_with_a_result_then_their_data_then_updated() {
    let sample = Sample::start().await;
    let (mut ddp, todos) = Ddp::watching_todos(&sample).await;
    assert_eq!(todos, Vec::<Value>::new());

    let (result, data) = ddp.call("todos.insert", json!(["  buy milk "])).await;
    let id = &result["result"];
    assert_eq!((&data[0]["msg"], &data[0]["collection"], &data[0]["id"]), (&json!("added"), &json!("todos"), id));
    assert_eq!((&data[0]["fields"]["text"], &data[0]["fields"]["done"]), (&json!("buy milk"), &json!(false)));
    assert!(data[0]["fields"]["at"]["$date"].is_u64(), "{data:?}");

    let (_, data) = ddp.call("todos.toggle", json!([id])).await;
    assert_eq!(data, [json!({ "msg": "changed", "collection": "todos", "id": id, "fields": { "done": true } })]);
    let (_, data) = ddp.call("todos.remove", json!([id])).await;
    assert_eq!(data, [json!({ "msg": "removed", "collection": "todos", "id": id })]);

    let (result, _) = ddp.call("echo", json!([{ "deep": [1, "ü", null] }])).await;
    assert_eq!(result["result"], json!({ "deep": [1, "ü", null] }));
    let (result, _) = ddp.call("instance", json!([])).await;
    assert_eq!(result["result"], json!({ "instance": "sample-1-a", "release": 1, "pid": sample.id() }));
}

#[tokio::test]
async fn a_refused_method_says_why() {
    let sample = Sample::start().await;
    let mut ddp = Ddp::connect(&sample).await;
    for (method, params, code, reason) in [
        ("nope", json!([]), 404, "Method 'nope' not found"),
        ("todos.insert", json!([]), 400, "Match failed"),
        ("todos.insert", json!([1]), 400, "Match failed"),
        ("todos.insert", json!(["a", "b"]), 400, "Match failed"),
        ("todos.insert", json!(["  "]), 400, "a todo needs a text"),
        ("todos.insert", json!(["x".repeat(501)]), 400, "a todo has at most 500 characters"),
        ("todos.toggle", json!(["unknown"]), 404, "no such todo"),
        ("todos.remove", json!(["unknown"]), 404, "no such todo"),
    ] {
        let (result, _) = ddp.call(method, params).await;
        assert_eq!((&result["error"]["error"], &result["error"]["reason"]), (&json!(code), &json!(reason)));
        assert_eq!(result["error"]["errorType"], "Meteor.Error");
    }
    for number in 0..200 {
        let (result, _) = ddp.call("todos.insert", json!([format!("todo {number}")])).await;
        assert_eq!(result["error"], Value::Null);
    }
    let (result, _) = ddp.call("todos.insert", json!(["one too many"])).await;
    assert_eq!(result["error"]["reason"], "the list is full: 200 todos");
}

#[tokio::test]
async fn subscriptions_start_share_and_stop() {
    let sample = Sample::start_with(&["--instance", "todos-7-a", "--release", "7"]).await;
    let mut ddp = Ddp::connect(&sample).await;
    let (inserted, _) = ddp.call("todos.insert", json!(["x"])).await;

    ddp.send(json!({ "msg": "sub", "id": "1", "name": "instance", "params": [] })).await;
    let fields = json!({ "instance": "todos-7-a", "release": 7 });
    assert_eq!(ddp.next().await, json!({ "msg": "added", "collection": "instance", "id": "this", "fields": fields }));
    assert_eq!(ddp.next().await, json!({ "msg": "ready", "subs": ["1"] }));

    // The second subscription to the same documents sends none of them again ...
    ddp.send(json!({ "msg": "sub", "id": "2", "name": "todos" })).await;
    assert_eq!(ddp.next().await["msg"], "added");
    assert_eq!(ddp.next().await, json!({ "msg": "ready", "subs": ["2"] }));
    ddp.send(json!({ "msg": "sub", "id": "3", "name": "todos" })).await;
    assert_eq!(ddp.next().await, json!({ "msg": "ready", "subs": ["3"] }));
    // ... and the last one that stops takes them away.
    ddp.send(json!({ "msg": "unsub", "id": "2" })).await;
    assert_eq!(ddp.next().await, json!({ "msg": "nosub", "id": "2" }));
    ddp.send(json!({ "msg": "unsub", "id": "3" })).await;
    assert_eq!(ddp.next().await, json!({ "msg": "removed", "collection": "todos", "id": inserted["result"] }));
    assert_eq!(ddp.next().await, json!({ "msg": "nosub", "id": "3" }));

    ddp.send(json!({ "msg": "sub", "id": "4", "name": "secrets" })).await;
    let refused = ddp.next().await;
    assert_eq!((&refused["msg"], &refused["id"], &refused["error"]["error"]), (&json!("nosub"), &json!("4"), &json!(404)));
}

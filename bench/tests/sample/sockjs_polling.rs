//! SockJS over plain HTTP: the poll, the stream, and what ends a session.

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::http_client::{begin, post};
use super::process::{BOUND, Sample, soon};

const CONNECT: &str = r#"{"msg":"connect","version":"1","support":["1"]}"#;

#[tokio::test]
async fn a_session_is_opened_by_a_poll_and_answers_one_frame_each() {
    let sample = Sample::start().await;
    let opened = post(&sample, "/sockjs/123/polling1/xhr", "").await;
    assert_eq!((opened.status.as_u16(), opened.text()), (200, "o\n"));
    assert_eq!(opened.header("content-type"), "application/javascript; charset=UTF-8");
    assert!(opened.header("cache-control").contains("no-store"));
    assert_eq!(opened.header("access-control-allow-origin"), "*");

    let sent = post(&sample, "/sockjs/123/polling1/xhr_send", json!([CONNECT]).to_string()).await;
    assert_eq!((sent.status.as_u16(), sent.header("content-type")), (204, "text/plain; charset=UTF-8"));
    let connected = post(&sample, "/sockjs/999/polling1/xhr", "").await; // the server's name means nothing
    assert_eq!(messages(connected.text())[0]["msg"], "connected");

    // What happens between two polls waits for the second, all of it in one frame.
    for id in ["1", "2"] {
        let echo = json!({ "msg": "method", "id": id, "method": "echo", "params": [id] }).to_string();
        assert_eq!(post(&sample, "/sockjs/123/polling1/xhr_send", json!([echo]).to_string()).await.status, 204);
    }
    let mut answers = Vec::new();
    while answers.len() < 4 {
        answers.extend(messages(post(&sample, "/sockjs/123/polling1/xhr", "").await.text()));
    }
    let kinds: Vec<_> = answers.iter().map(|answer| answer["msg"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["result", "updated", "result", "updated"]);
}

#[tokio::test]
async fn only_the_instance_that_has_the_session_takes_its_messages() {
    let sample = Sample::start().await;
    let unknown = post(&sample, "/sockjs/123/nobody/xhr_send", json!([CONNECT]).to_string()).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.header("access-control-allow-origin"), "*", "else a browser on another origin sees no status");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let sample = Sample::start().await;
    post(&sample, "/sockjs/1/refusing/xhr", "").await;
    for (body, reason) in [("", "Payload expected."), ("[", "Broken JSON encoding."), ("{}", "Payload expected.")] {
        let refused = post(&sample, "/sockjs/1/refusing/xhr_send", body).await;
        assert_eq!((refused.status.as_u16(), refused.text()), (500, reason), "{body}");
    }
    let long = json!(["x".repeat(1024 * 1024)]).to_string();
    let refused = post(&sample, "/sockjs/1/refusing/xhr_send", long).await;
    assert_eq!((refused.status.as_u16(), refused.text()), (500, "Payload too large."));
}

#[tokio::test]
async fn a_second_receiver_is_turned_away() {
    let sample = Sample::start().await;
    let streaming = begin(&sample, "POST", "/sockjs/1/twice/xhr_streaming", &[], "").await;
    let second = post(&sample, "/sockjs/1/twice/xhr", "").await;
    assert_eq!(second.text(), "c[2010,\"Another connection still open\"]\n");
    let third = post(&sample, "/sockjs/1/twice/xhr_streaming", "").await;
    assert!(third.text().ends_with("h\nc[2010,\"Another connection still open\"]\n"), "{}", third.text());
    drop(streaming);
}

#[tokio::test]
async fn a_client_that_leaves_its_poll_ends_the_session() {
    let sample = Sample::start().await;
    let streaming = begin(&sample, "POST", "/sockjs/1/leaving/xhr_streaming", &[], "").await;
    assert_eq!(post(&sample, "/sockjs/1/leaving/xhr_send", json!([CONNECT]).to_string()).await.status, 204);
    drop(streaming);
    let forgotten = async {
        while post(&sample, "/sockjs/1/leaving/xhr_send", json!([CONNECT]).to_string()).await.status != 404 {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, forgotten).await.expect("the session ends");
}

#[tokio::test]
async fn a_silent_session_has_heartbeats_and_a_finished_one_says_so() {
    let sample = Sample::start_with(&["--heartbeat-seconds", "1"]).await;
    post(&sample, "/sockjs/1/silent/xhr", "").await;
    assert_eq!(post(&sample, "/sockjs/1/silent/xhr", "").await.text(), "h\n");

    let hopeless = r#"{"msg":"connect","version":"9","support":["9"]}"#;
    post(&sample, "/sockjs/1/silent/xhr_send", json!([hopeless]).to_string()).await;
    assert_eq!(messages(post(&sample, "/sockjs/1/silent/xhr", "").await.text())[0]["msg"], "failed");
    for _ in 0..2 {
        assert_eq!(post(&sample, "/sockjs/1/silent/xhr", "").await.text(), "c[1000,\"Normal closure\"]\n");
    }
}

#[tokio::test]
async fn a_stream_brings_frames_until_it_is_long_and_the_session_goes_on() {
    let sample = Sample::start().await;
    let mut stream = begin(&sample, "POST", "/sockjs/1/streaming/xhr_streaming", &[], "").await.into_body();
    let opening = format!("{}\no\n", "h".repeat(2048));
    let mut text = String::new();
    while text.len() < opening.len() {
        let chunk = soon(stream.frame()).await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert_eq!(text, opening);

    let long = "x".repeat(130 * 1024);
    let echo = json!({ "msg": "method", "id": "1", "method": "echo", "params": [long] }).to_string();
    let ping = json!({ "msg": "ping" }).to_string();
    post(&sample, "/sockjs/1/streaming/xhr_send", json!([CONNECT, echo]).to_string()).await;
    let rest = soon(stream.collect()).await.unwrap().to_bytes();
    assert!(rest.len() > 130 * 1024);

    post(&sample, "/sockjs/1/streaming/xhr_send", json!([ping]).to_string()).await;
    let after = post(&sample, "/sockjs/1/streaming/xhr", "").await;
    assert_eq!(after.text(), "a[\"{\\\"msg\\\":\\\"pong\\\"}\"]\n");
}

/// The messages in an `a[...]` frame.
fn messages(frame: &str) -> Vec<Value> {
    let texts = frame.strip_prefix('a').unwrap_or_else(|| panic!("wanted messages, got {frame}"));
    let texts: Vec<String> = serde_json::from_str(texts).unwrap();
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

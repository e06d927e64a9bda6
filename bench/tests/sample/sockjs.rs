//! SockJS over a WebSocket, and what every SockJS client asks first.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::ddp_client::Socket;
use super::http_client::{ask, get, post};
use super::process::Sample;

const CONNECT: &str = r#"{"msg":"connect","version":"1","support":["1"]}"#;

#[tokio::test]
async fn info_tells_any_origin_that_websockets_work() {
    let sample = Sample::start().await;
    let plain = get(&sample, "/sockjs/info").await;
    let info = plain.json();
    assert_eq!((&info["websocket"], &info["origins"], &info["cookie_needed"]), (&json!(true), &json!(["*:*"]), &json!(false)));
    assert!(info["entropy"].as_u64().is_some_and(|entropy| u32::try_from(entropy).is_ok()), "{info}");
    assert_eq!(plain.header("access-control-allow-origin"), "*");
    assert_eq!(plain.header("access-control-allow-credentials"), "");
    assert!(plain.header("cache-control").contains("no-store"));

    let origin = [("origin", "https://elsewhere.example"), ("access-control-request-headers", "content-type")];
    let asked = ask(&sample, "GET", "/sockjs/info?cb=x", &origin[..1], "").await;
    assert_eq!(asked.header("access-control-allow-origin"), "https://elsewhere.example");
    assert_eq!(asked.header("access-control-allow-credentials"), "true");
    assert_eq!(asked.header("vary"), "Origin");

    for (path, methods) in [("/sockjs/info", "OPTIONS, GET"), ("/sockjs/123/abcdefgh/xhr_send", "OPTIONS, POST")] {
        let preflight = ask(&sample, "OPTIONS", path, &origin, "").await;
        assert_eq!((preflight.status.as_u16(), preflight.header("access-control-allow-methods")), (204, methods));
        assert_eq!(preflight.header("access-control-allow-headers"), "content-type");
        assert_eq!(preflight.header("access-control-max-age"), "31536000");
    }
}

#[tokio::test]
async fn paths_below_the_prefix_are_sockjs_or_nothing() {
    let sample = Sample::start_with(&["--prefix", "/app/sockjs"]).await;
    assert_eq!(get(&sample, "/app/sockjs").await.text(), "Welcome to SockJS!\n");
    assert_eq!(get(&sample, "/app/sockjs/info/").await.status, 200);
    assert_eq!(get(&sample, "/app/sockjs/1/2/eventsource").await.status, 404);
    assert_eq!(get(&sample, "/app/sockjs/1/with.dot/websocket").await.status, 404);
    assert_eq!(get(&sample, "/app/sockjs/1/2/xhr").await.status, 405);
    assert_eq!(post(&sample, "/app/sockjs/info", "").await.status, 405);
    assert!(get(&sample, "/sockjs/info").await.text().contains(r#"PREFIX = "/app/sockjs""#), "elsewhere is the page");
    Socket::open(&sample, "/app/sockjs/websocket").await;
}

#[tokio::test]
async fn frames_wrap_the_messages_both_ways() {
    let sample = Sample::start().await;
    let mut socket = Socket::open(&sample, "/sockjs/123/abcdefgh/websocket").await;
    assert_eq!(socket.text().await, "o");
    let ping = r#"{"msg":"ping","id":"p"}"#;
    socket.say(json!([CONNECT, ping]).to_string()).await;
    let both = socket.text().await;
    assert!(both.starts_with(r#"a["{\"msg\":\"connected\""#), "{both}");
    assert!(both.ends_with(r#","{\"msg\":\"pong\",\"id\":\"p\"}"]"#), "{both}");

    socket.say("").await; // means nothing
    socket.say(json!(ping).to_string()).await; // a string without an array will do
    assert_eq!(socket.text().await, r#"a["{\"msg\":\"pong\",\"id\":\"p\"}"]"#);

    socket.say(json!([r#"{"msg":"disconnect"}"#]).to_string()).await;
    assert_eq!(socket.text().await, r#"c[1000,"Normal closure"]"#);
    assert_eq!(socket.close_code().await, 1000);
}

#[tokio::test]
async fn broken_frames_end_the_socket() {
    let sample = Sample::start().await;
    for broken in ["[", "{}", "[1]"] {
        let mut socket = Socket::open(&sample, "/sockjs/123/abcdefgh/websocket").await;
        assert_eq!(socket.text().await, "o");
        socket.say(broken).await;
        assert_eq!(socket.close_code().await, 3000, "{broken}");
    }
}

#[tokio::test]
async fn a_silent_socket_is_pinged() {
    let sample = Sample::start_with(&["--heartbeat-seconds", "1"]).await;
    let mut socket = Socket::open(&sample, "/sockjs/123/abcdefgh/websocket").await;
    assert_eq!(socket.text().await, "o");
    for _ in 0..2 {
        let heartbeat = socket.next().await; // answered by the library
        assert!(matches!(heartbeat, Some(Message::Ping(_))), "{heartbeat:?}");
    }
}

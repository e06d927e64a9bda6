//! Clients that wait, for an instance, at the gate or for their turn, and those who leave meanwhile.

use karman_faults::{OK, Scripted, read_message};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::authority::Authority;
use crate::rig::{App, Edge, HOST, instances_json, until};

const STARTING: &str = r#"{"a":{"address":"127.0.0.1:1","state":"starting"}}"#;

/// Waits until so many are held, waiting or queued.
async fn until_live(edge: &Edge, kind: &str, count: usize) {
    let what = format!("{count} are {kind}");
    until(&what, async || edge.admin("GET", "/v1/apps/todos", "").await.json()["live"][kind] == count).await;
}

async fn until_held(edge: &Edge, count: usize) {
    until_live(edge, "held", count).await;
}

async fn say(edge: &Edge, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

fn get(id: &str) -> String {
    format!("GET /api/instance HTTP/1.1\r\nhost: {HOST}\r\nx-request-id: {id}\r\n\r\n")
}

fn upgrade(id: &str) -> String {
    format!(
        "GET /websocket HTTP/1.1\r\nhost: {HOST}\r\nx-request-id: {id}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Whoever left was counted and logged as such, after it had waited for less than this. It was refused nothing.
async fn left(edge: &Edge, id: &str, within_ms: f64) -> Value {
    let line = edge.lines_of(id, 1).await.remove(0);
    assert_eq!((line["status"].as_u64(), line.get("code")), (Some(499), None), "{line}");
    assert!(line["ms"]["total"].as_f64().unwrap() < within_ms, "{line}");
    line
}

#[tokio::test]
async fn who_leaves_while_held_gives_the_seat_to_who_comes() {
    let (edge, app) = (Edge::start_with("limits: {held_requests: 2}").await, App::start("a"));
    edge.put_app(STARTING, "").await;
    let post = "POST /api/echo HTTP/1.1\r\nhost: todos.example.com\r\nx-request-id: post\r\n";
    for (id, request) in [
        ("get", get("get")),
        ("post", format!("{post}content-length: 5\r\n\r\nhello")),
        ("post", format!("{post}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")),
        // A part of a body; the rest never comes.
        ("post", format!("{post}content-length: 9000\r\n\r\n{}", "x".repeat(4_096))),
        ("socket", upgrade("socket")),
    ] {
        let lines = edge.log().iter().filter(|line| line["request_id"] == id).count();
        let client = say(&edge, &request).await;
        until_held(&edge, 1).await;
        assert_eq!(edge.get("/api/instance", "").await.code(), "app-starting", "there is no other seat");
        drop(client);
        until_held(&edge, 0).await;
        let line = edge.lines_of(id, lines + 1).await.remove(lines);
        assert_eq!((line["status"].as_u64(), line.get("code")), (Some(499), None), "{line}");
        // An upgrade would have been held for 8 s, the others for 30 s.
        assert!(line["ms"]["hold"].as_f64().unwrap() < 7_000.0, "{line}");
    }
    let (answer, ()) = tokio::join!(edge.get("/api/instance", ""), async {
        until_held(&edge, 1).await;
        edge.put_todos(&[("a", app.address)]).await;
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn what_a_client_says_while_it_is_held_is_kept() {
    let (edge, app) = (Edge::start().await, Scripted::answering(OK));
    edge.put_app(STARTING, "").await;
    let mut pipelined = say(&edge, &get("first")).await;
    let begun = format!("POST /upload HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 20000\r\n\r\n");
    let mut upload = say(&edge, &(begun + &"a".repeat(5_000))).await;
    let chunked = format!("POST /chunked HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let mut chunked = say(&edge, &chunked).await;
    let empty = format!("POST /empty HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    let mut empty = say(&edge, &empty).await;
    let waits = format!("POST /asked HTTP/1.1\r\nhost: {HOST}\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    let mut waits = say(&edge, &waits).await;
    until_held(&edge, 5).await;
    pipelined.write_all(get("second").as_bytes()).await.unwrap();
    upload.write_all("b".repeat(15_000).as_bytes()).await.unwrap();
    chunked.write_all(b"6\r\n world\r\n0\r\n\r\n").await.unwrap();
    waits.write_all(b"abc").await.unwrap();
    edge.put_todos(&[("a", app.address)]).await;
    for client in [&mut pipelined, &mut upload, &mut chunked, &mut empty, &mut waits] {
        assert!(read_message(client).await.unwrap().starts_with("HTTP/1.1 200 "));
    }
    assert!(read_message(&mut pipelined).await.unwrap().starts_with("HTTP/1.1 200 "), "the second one too");
    let (seen, whole) = (app.seen(), "a".repeat(5_000) + &"b".repeat(15_000));
    let has = |path: &str, body: &str| seen.iter().any(|message| message.contains(path) && message.ends_with(body));
    assert!(has("/upload", &format!("\r\n\r\n{whole}")), "all of it, once");
    assert!(has("/asked", "\r\n\r\nabc") && has("/empty", "\r\n\r\n"));
    let chunked = seen.iter().find(|message| message.contains("/chunked")).unwrap();
    assert!(chunked.contains("hello") && chunked.contains(" world") && chunked.ends_with("0\r\n\r\n"), "{chunked}");
}

#[tokio::test]
async fn who_leaves_by_https_is_seen_to_leave_too() {
    let (edge, authority, app) = (Edge::start().await, Authority::new(), App::start("a"));
    edge.put_app(STARTING, "").await;
    assert_eq!(edge.put_certificates(&[("c", authority.issue(&[HOST]))]).await.status, 200);
    let mut client = authority.client(&["http/1.1"]).connect(edge.https, HOST).await.unwrap();
    client.write_all(get("secured").as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    until_held(&edge, 1).await;
    drop(client);
    until_held(&edge, 0).await;
    left(&edge, "secured", 20_000.0).await;
    // Of an HTTP/2 connection one stream may go, or all.
    let stream = authority.client(&["h2"]).connect(edge.https, HOST).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = |id: &str, method: &str| {
        let uri = format!("https://{HOST}/api/instance");
        http::Request::builder().method(method).uri(uri).header("x-request-id", id).body(()).unwrap()
    };
    let (_one, mut reset) = client.send_request(ask("reset", "GET"), true).unwrap();
    let (_two, mut unfinished) = client.send_request(ask("unfinished", "POST"), false).unwrap();
    let (other, _) = client.send_request(ask("other", "GET"), true).unwrap();
    let (_last, _) = client.send_request(ask("last", "GET"), true).unwrap();
    until_held(&edge, 4).await;
    reset.send_reset(h2::Reason::CANCEL);
    unfinished.send_reset(h2::Reason::CANCEL);
    until_held(&edge, 2).await;
    left(&edge, "reset", 20_000.0).await;
    left(&edge, "unfinished", 20_000.0).await;
    drop(other);
    until_held(&edge, 1).await;
    connection.abort();
    until_held(&edge, 0).await;
    left(&edge, "last", 20_000.0).await;
    edge.put_todos(&[("a", app.address)]).await;
}

#[tokio::test]
async fn who_leaves_the_gate_gives_its_moment_to_who_comes() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), r#","limits":{"sockets_per_second":1}"#).await;
    // One of seven edges: after the first, the next moment is 7.14 s later, and the one after that too late for all who come.
    assert_eq!(edge.admin("PUT", "/v1/edges", r#"{"serving":7}"#).await.status, 200);
    let _open = edge.socket_at("/websocket", &[]).await.unwrap();
    for id in ["first", "second"] {
        let client = say(&edge, &upgrade(id)).await;
        until_live(&edge, "waiting", 1).await;
        let Err(refused) = edge.socket_at("/websocket", &[]).await else { panic!("there is one moment within 8 s") };
        assert_eq!(refused.code(), "queue-timeout");
        drop(client);
        until_live(&edge, "waiting", 0).await;
        left(&edge, id, 7_000.0).await;
    }
    assert!(edge.socket_at("/websocket", &[]).await.is_ok(), "it has the moment of those who left");
}

#[tokio::test]
async fn who_leaves_the_queue_makes_room_in_it() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        heads.read(&mut stream).await;
        // Never an answer.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let edge = Edge::start().await;
    let limits = r#","limits":{"requests_in_flight":1,"queue":1,"queue_seconds":60}"#;
    edge.put_app(&instances_json(&[("a", app.address)]), limits).await;
    let working = say(&edge, &get("working")).await;
    until("one is worked on", async || app.count() == 1).await;
    let post = format!("POST /x HTTP/1.1\r\nhost: {HOST}\r\nx-request-id: post\r\ncontent-length: 5\r\n\r\nhello");
    for (id, request) in [("get", get("get")), ("post", post)] {
        let client = say(&edge, &request).await;
        until_live(&edge, "queued", 1).await;
        assert_eq!(edge.get("/", "").await.code(), "queue-full");
        drop(client);
        until_live(&edge, "queued", 0).await;
        let line = left(&edge, id, 20_000.0).await;
        assert!(line["ms"]["queue"].as_f64().is_some(), "{line}");
    }
    drop(working);
    left(&edge, "working", 20_000.0).await;
}

#[tokio::test]
async fn who_leaves_while_an_app_thinks_about_an_upgrade_takes_its_work_along() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        heads.read(&mut stream).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let edge = Edge::start().await;
    edge.put_todos(&[("a", app.address)]).await;
    let client = say(&edge, &upgrade("thinks")).await;
    until("the app has it", async || app.count() == 1).await;
    drop(client);
    until("it is no longer in flight", async || edge.instance("a").await["in_flight"] == 0).await;
    left(&edge, "thinks", 20_000.0).await;
}

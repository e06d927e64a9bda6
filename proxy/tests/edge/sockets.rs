//! Sockets: upgrades, refusals, idle ones, ends.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use karman_faults::Scripted;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{App, Edge, instances_json, until};

const CONNECT: &str = r#"{"msg":"connect","version":"1","support":["1"]}"#;

#[tokio::test]
async fn a_socket_sticks_and_its_101_binds_the_client() {
    let (edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    edge.put_todos(&[("a", a.address), ("b", b.address)]).await;
    let mut first = edge.socket_at("/websocket", &[]).await.unwrap();
    let cookie = first.head.cookie().expect("the 101 binds a new client");
    assert!(first.head.header("x-request-id").is_some());
    first.socket.send(Message::text(CONNECT)).await.unwrap();
    let answer = first.socket.next().await.unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains("connected"), "{answer}");
    let page = edge.get("/api/instance", &format!("cookie: {cookie}\r\n")).await.json();
    let name = page["instance"].as_str().unwrap();
    assert_eq!(edge.instance(name).await["tunnels"], 1, "the socket is where the cookie says");
    let second = edge.socket_at("/websocket", &[("cookie", &cookie)]).await.unwrap();
    assert_eq!(second.head.cookie(), None);
    assert_eq!(edge.instance(name).await["tunnels"], 2);
    drop(second);
    until("the tunnel is over", async || edge.instance(name).await["tunnels"] == 1).await;
}

#[tokio::test]
async fn open_sockets_count_when_new_clients_are_balanced() {
    let (edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    edge.put_todos(&[("a", a.address), ("b", b.address)]).await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(edge.socket_at("/websocket", &[]).await.unwrap());
    }
    assert_eq!((edge.instance("a").await["tunnels"].clone(), edge.instance("b").await["tunnels"].clone()), (5.into(), 5.into()));
}

#[tokio::test]
async fn large_messages_pass_whole() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", a.address)]).await;
    let mut ws = edge.socket_at("/websocket", &[]).await.unwrap();
    ws.socket.send(Message::text(CONNECT)).await.unwrap();
    let text = "x".repeat(1_000_000);
    ws.socket.send(Message::text(format!(r#"{{"msg":"method","id":"1","method":"echo","params":["{text}"]}}"#))).await.unwrap();
    loop {
        let message = ws.socket.next().await.unwrap().unwrap();
        if message.to_text().unwrap().contains(r#""msg":"result""#) {
            assert!(message.to_text().unwrap().contains(&text));
            break;
        }
    }
}

#[tokio::test]
async fn what_an_app_says_instead_of_a_101_reaches_the_client() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", a.address)]).await;
    let Err(refused) = edge.socket_at("/api/status?code=426", &[]).await else { panic!("the app does not upgrade here") };
    assert_eq!((refused.status, refused.code()), (426, ""));
    let Err(page) = edge.socket_at("/api/instance", &[]).await else { panic!("the app does not upgrade here") };
    assert_eq!((page.status, page.json()["instance"].as_str()), (200, Some("a")));
}

/// Rows S02, S19 and L17 hold of an answer to an upgrade too, and so do the interim answers before it.
#[tokio::test]
async fn what_no_client_could_be_given_is_not_given_to_one_who_upgrades() {
    const ANSWERS: [&str; 3] = [
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: HUGE\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nx: HUGE\r\n\r\n",
        "HTTP/1.1 426 Upgrade Required\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for answer in ANSWERS {
        let app = Scripted::start(move |_, mut stream, heads| async move {
            if heads.read(&mut stream).await {
                let _ = stream.write_all(answer.replace("HUGE", &"x".repeat(40_000)).as_bytes()).await;
            }
        });
        let edge = Edge::start_with("limits: {answer_header_bytes: 32768}").await;
        edge.put_todos(&[("a", app.address)]).await;
        let Err(refused) = edge.socket_at("/websocket", &[]).await else { panic!("a 101 came through: {answer}") };
        assert_eq!((refused.status, refused.code()), (502, "instance-garbage"), "{answer}");
    }
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_refused_before_the_app_hears_of_it() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", a.address)]).await;
    let request = "GET /websocket HTTP/1.1\r\nhost: todos.example.com\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(edge.ask(request).await.code(), "bad-request");
    assert_eq!(edge.instance("a").await["tunnels"], 0);
}

#[tokio::test]
async fn an_idle_socket_is_closed_by_its_own_limit_and_not_by_the_requests() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    let timeouts = r#","timeouts":{"idle_seconds":1,"first_byte_seconds":1,"tunnel_idle_seconds":3}"#;
    edge.put_app(&instances_json(&[("a", a.address)]), timeouts).await;
    let mut ws = edge.socket_at("/websocket", &[]).await.unwrap();
    let start = std::time::Instant::now();
    let end = tokio::time::timeout(Duration::from_secs(20), ws.socket.next()).await.expect("it is closed");
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    assert!(start.elapsed() >= Duration::from_millis(2_900), "closed after {:?}", start.elapsed());
    let id = ws.head.header("x-request-id").unwrap().to_owned();
    drop(ws);
    let lines = edge.lines_of(&id, 2).await;
    assert_eq!((lines[0]["status"].as_u64(), lines[0].get("by")), (Some(101), None));
    assert_eq!(lines[1]["by"], "idle");
    assert!(lines[1]["open_seconds"].as_f64().unwrap() >= 2.9);
}

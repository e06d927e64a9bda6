//! Instances that die, hang, reset, refuse and come back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use karman_faults::{OK, Scripted};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::rig::{App, Edge, instances_json, until};

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn when_one_of_two_dies_nobody_notices() {
    let (edge, mut a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    edge.put_todos(&[("a", a.address), ("b", b.address)]).await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(edge.socket_at("/websocket", &[]).await.unwrap());
    }
    a.kill();
    for n in 0..50 {
        let answer = edge.get("/api/instance", "").await;
        assert_eq!((answer.status, answer.json()["instance"].as_str()), (200, Some("b")), "request {n}");
    }
    assert_eq!(edge.post("/api/echo", "", "not idempotent, and never sent to the dead one").await.status, 200);
    assert_eq!(edge.instance("b").await["tunnels"], 5, "the sockets of the other stay");
    until("the dead one's tunnels are gone", async || edge.instance("a").await["tunnels"] == 0).await;
    assert_eq!(edge.instance("a").await["health"], "quarantined");
    a.start_again();
    until("the instance is used again", async || edge.instance("a").await["health"] == "up").await;
}

#[tokio::test]
async fn when_all_are_dead_each_caller_is_told_so_and_served_again_within_two_seconds() {
    let (edge, mut a, mut b) = (Edge::start().await, App::start("a"), App::start("b"));
    edge.put_todos(&[("a", a.address), ("b", b.address)]).await;
    assert_eq!(edge.get("/", "").await.status, 200);
    a.kill();
    b.kill();
    let page = edge.get("/", "accept: text/html\r\n").await;
    assert_eq!((page.status, page.code()), (503, "app-down"));
    assert!(page.text().contains("todos isn&#39;t answering right now"), "{}", page.text());
    let (refresh, retry) = (page.header("refresh").unwrap(), page.header("retry-after").unwrap());
    assert!((20..=40).contains(&refresh.parse::<u32>().unwrap()) && (20..=40).contains(&retry.parse::<u32>().unwrap()));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let api = edge.get("/api/instance", "").await;
    assert_eq!((api.status, api.code(), api.json()["error"].as_str()), (503, "app-down", Some("app-down")));
    let posted = edge.post("/", "accept: text/html\r\n", "a=b").await;
    assert_eq!((posted.status, posted.header("refresh")), (503, None), "a form is not posted again");
    let Err(socket) = edge.socket_at("/sockjs/1/abcdefgh/websocket", &[]).await else { panic!("there is nothing to upgrade to") };
    assert_eq!((socket.status, socket.code(), socket.body.len()), (503, "app-down", 0));
    b.start_again();
    let back = Instant::now();
    until("the app is served again", async || edge.get("/", "accept: text/html\r\n").await.status == 200).await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
}

#[tokio::test]
async fn a_socket_waits_for_an_app_that_is_about_to_be_back() {
    let (edge, mut a) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", a.address)]).await;
    a.kill();
    assert_eq!(edge.get("/", "").await.code(), "app-down");
    let start = Instant::now();
    let (socket, ()) = tokio::join!(edge.socket_at("/websocket", &[]), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        a.start_again();
    });
    let socket = socket.expect("it was held until the app was back");
    let line = &edge.lines_of(socket.head.header("x-request-id").unwrap(), 1).await[0];
    assert!(line["ms"]["hold"].as_f64().unwrap() >= 400.0, "{line}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_request_that_waits_is_let_go_by_the_document_too() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    edge.put_app(r#"{"a":{"address":"127.0.0.1:1","state":"starting"}}"#, "").await;
    let (answer, ()) = tokio::join!(edge.get("/api/instance", ""), async {
        until("the request is held", async || edge.probe("/metrics").await.text().contains("karman_held{app=\"todos\"} 1")).await;
        edge.put_todos(&[("a", a.address)]).await;
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn an_app_in_another_state_says_which() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    for (state, code) in
        [("maintenance", "app-maintenance"), ("stopped", "app-stopped"), ("suspended", "app-stopped"), ("asleep", "app-asleep")]
    {
        edge.put_app(&instances_json(&[("a", a.address)]), &format!(r#","state":"{state}""#)).await;
        let answer = edge.get("/", "accept: text/html\r\n").await;
        assert_eq!((answer.status, answer.code()), (503, code), "{state}");
        assert!(!answer.text().contains("suspended"), "no visitor learns a customer's billing state");
        if state == "suspended" {
            let line = &edge.lines_of(answer.header("x-request-id").unwrap(), 1).await[0];
            assert_eq!(line["code"], "app-suspended", "the log and the owner do");
        }
    }
}

#[tokio::test]
async fn the_maintenance_page_has_the_owners_words_and_no_other_page_has() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    for (state, told) in [("maintenance", true), ("stopped", false)] {
        let note = format!(r#","state":"{state}","note":{{"by":"ada","why":"A <new> database"}}"#);
        edge.put_app(&instances_json(&[("a", a.address)]), &note).await;
        let page = edge.get("/", "accept: text/html\r\n").await.text();
        assert_eq!(page.contains("A &lt;new&gt; database"), told, "{page}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_reset_costs_an_idempotent_request_nothing_and_a_post_is_not_sent_twice() {
    let app = Scripted::start(|n, mut stream, heads| async move {
        // The first connection answers once and resets on its second request; later ones serve.
        while heads.read(&mut stream).await {
            let served = heads.len();
            if n == 0 && served == 2 {
                let _ = stream.set_zero_linger();
                return;
            }
            stream.write_all(OK).await.unwrap();
        }
    });
    // Kept connections are their thread's own.
    let edge = Edge::start_with("threads: 1").await;
    edge.put_todos(&[("a", app.address)]).await;
    assert_eq!(edge.get("/one", "").await.status, 200);
    assert_eq!(edge.get("/two", "").await.status, 200, "sent again on a new connection");
    assert_eq!(app.count(), 3);

    let app = Scripted::start(|n, mut stream, heads| async move {
        while heads.read(&mut stream).await {
            if n == 0 && heads.len() == 2 {
                let _ = stream.set_zero_linger();
                return;
            }
            stream.write_all(OK).await.unwrap();
        }
    });
    edge.put_todos(&[("a", app.address)]).await;
    assert_eq!(edge.get("/one", "").await.status, 200);
    let post = edge.post("/two", "", "").await;
    assert_eq!((post.status, post.code()), (502, "instance-reset"));
    assert_eq!(app.count(), 2, "a POST that was sent is not sent again");
}

#[tokio::test]
async fn an_app_that_hangs_resets_or_babbles_has_its_code() {
    let edge = Edge::start().await;
    let hangs = Scripted::start(|_, mut stream, heads| async move {
        heads.read(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let resets = Scripted::start(|_, mut stream, heads| async move {
        heads.read(&mut stream).await;
    });
    let babbles = Scripted::start(|_, mut stream, heads| async move {
        heads.read(&mut stream).await;
        let _ = stream.write_all(b"I am not HTTP at all\r\n\r\n").await;
    });
    for (app, status, code) in
        [(&hangs, 504, "first-byte-timeout"), (&resets, 502, "instance-reset"), (&babbles, 502, "instance-garbage")]
    {
        edge.put_app(&instances_json(&[("a", app.address)]), r#","timeouts":{"first_byte_seconds":1}"#).await;
        let answer = edge.get("/api", "").await;
        assert_eq!((answer.status, answer.code()), (status, code));
        assert_eq!(answer.json()["error"], code);
    }
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut_and_never_ends_cleanly() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        heads.read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let edge = Edge::start().await;
    edge.put_app(&instances_json(&[("a", app.address)]), r#","timeouts":{"first_byte_seconds":1,"idle_seconds":1}"#).await;
    let request = "GET / HTTP/1.1\r\nhost: todos.example.com\r\nconnection: close\r\nx-request-id: stalled\r\n\r\n";
    assert!(edge.try_ask(request).await.is_none(), "a body without its last chunk is no answer");
    let line = &edge.lines_of("stalled", 1).await[0];
    assert_eq!((line["status"].as_u64(), line["code"].as_str()), (Some(200), Some("idle-timeout")));
}

#[tokio::test]
async fn retries_stop_after_two_and_never_reach_the_same_instance() {
    let edge = Edge::start().await;
    let mut dead = Vec::new();
    for id in ["a", "b", "c", "d", "e"] {
        dead.push((id, nobody().await));
    }
    edge.put_todos(&dead).await;
    let answer = edge.get("/", "").await;
    assert_eq!((answer.status, answer.code()), (502, "connect-refused"));
    let line = &edge.lines_of(answer.header("x-request-id").unwrap(), 1).await[0];
    assert_eq!(line["tries"], 3);
    until("all are known to be dead", async || edge.get("/", "").await.code() == "app-down").await;
}

#[tokio::test]
async fn an_app_that_never_accepts_is_a_connect_timeout() {
    // A full backlog: the kernel drops further SYNs. Nothing else on loopback keeps a connect waiting.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await {
        filling.push(stream);
        assert!(filling.len() < 100);
    }
    let edge = Edge::start().await;
    let app = App::start("b");
    let timeouts = r#","timeouts":{"connect_seconds":1}"#;
    edge.put_app(&instances_json(&[("a", address), ("b", app.address)]), timeouts).await;
    for _ in 0..6 {
        assert_eq!(edge.get("/", "").await.status, 200, "the other one serves");
    }
    assert_eq!(edge.instance("a").await["health"], "quarantined");
    edge.put_app(&instances_json(&[("a", address), ("c", address)]), timeouts).await;
    let answer = edge.get("/", "").await;
    assert!(["app-down", "connect-timeout"].contains(&answer.code()), "{}", answer.code());
}

#[tokio::test]
async fn an_active_check_takes_an_instance_out_and_brings_it_back() {
    let healthy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let says = std::sync::Arc::clone(&healthy);
    let app = Scripted::start(move |_, mut stream, heads| {
        let says = std::sync::Arc::clone(&says);
        async move {
            while heads.read(&mut stream).await {
                let ill = heads.last().starts_with("GET /health ") && !says.load(std::sync::atomic::Ordering::Relaxed);
                let answer: &[u8] = if ill { b"HTTP/1.1 500 Ill\r\ncontent-length: 0\r\n\r\n" } else { OK };
                let _ = stream.write_all(answer).await;
            }
        }
    });
    let (edge, other) = (Edge::start().await, App::start("b"));
    let check = r#","health":{"path":"/health","interval_seconds":1,"timeout_seconds":1,"expect":[200,204]}"#;
    edge.put_app(&instances_json(&[("a", app.address), ("b", other.address)]), check).await;
    until("the sample app, which has no /health, is still a page there", async || edge.instance("b").await["health"] == "up")
        .await;
    until("the check was answered", async || edge.instance("a").await["health"] == "up").await;
    healthy.store(false, std::sync::atomic::Ordering::Relaxed);
    until("the check failed", async || edge.instance("a").await["health"] == "down").await;
    for _ in 0..10 {
        assert_eq!(edge.get("/api/instance", "").await.json()["instance"], "b");
    }
    healthy.store(true, std::sync::atomic::Ordering::Relaxed);
    until("the check holds again", async || edge.instance("a").await["health"] == "up").await;
}

#[tokio::test]
async fn a_network_on_the_deny_list_is_blocked_until_its_time_is_over() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    let instances = instances_json(&[("a", a.address)]);
    for (deny, status) in [
        (r#"{"net":"127.0.0.0/8"}"#, 403),
        (r#"{"net":"127.0.0.0/8","until":"2020-01-01T00:00:00Z"}"#, 200),
        (r#"{"net":"203.0.113.0/24"}"#, 200),
    ] {
        edge.put_app(&instances, &format!(r#","deny":[{deny}]"#)).await;
        assert_eq!(edge.get("/", "").await.status, status, "{deny}");
    }
}

#[tokio::test]
async fn a_body_over_the_apps_limit_is_refused_announced_or_not() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", a.address)]), r#","limits":{"body_bytes":1000}"#).await;
    assert_eq!(edge.post("/api/echo", "", &"x".repeat(1_000)).await.status, 200);
    assert_eq!(edge.post("/api/echo", "", &"x".repeat(1_001)).await.code(), "body-too-large");
    let chunked = format!(
        "POST /api/echo HTTP/1.1\r\nhost: todos.example.com\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n{}\r\n0\r\n\r\n",
        "x".repeat(2_000)
    );
    assert_eq!(edge.ask(&chunked).await.code(), "body-too-large");
}

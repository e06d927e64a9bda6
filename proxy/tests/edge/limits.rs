//! Limits of an app, of a client and of the process: who is over them gives, and nobody else notices.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use karman_faults::{OK, Scripted, read_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::rig::{Answer, App, Edge, HOST, Ws, instances_json, until};

async fn with_limits(edge: &Edge, app: SocketAddr, limits: &str) {
    edge.put_app(&instances_json(&[("a", app)]), &format!(r#","limits":{{{limits}}}"#)).await;
}

async fn live(edge: &Edge, app: &str) -> serde_json::Value {
    edge.admin("GET", &format!("/v1/apps/{app}"), "").await.json()["live"].clone()
}

fn over_limit(answer: &Answer) -> bool {
    answer.status == 429 && answer.code() == "over-limit" && answer.header("retry-after").is_some()
}

/// A connection that asks and stays.
async fn ask_and_stay(edge: &Edge, host: &str) -> (TcpStream, String) {
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    client.write_all(format!("GET /api HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let answer = read_message(&mut client).await.unwrap_or_default();
    (client, answer)
}

#[tokio::test]
async fn requests_take_turns_and_the_queue_has_a_length_and_an_end() {
    let (go, going) = tokio::sync::watch::channel(false);
    let app = Scripted::start(move |_, mut stream, heads| {
        let mut going = going.clone();
        async move {
            while heads.read(&mut stream).await {
                let _ = going.wait_for(|go| *go).await;
                let _ = stream.write_all(OK).await;
            }
        }
    });
    let edge = Edge::start().await;
    with_limits(&edge, app.address, r#""requests_in_flight":2,"queue":2,"queue_seconds":60"#).await;
    let (one, two, late, later, ()) =
        tokio::join!(edge.get("/1", ""), edge.get("/2", ""), edge.get("/3", ""), edge.get("/4", ""), async {
            until("two wait", async || live(&edge, "todos").await["queued"] == 2).await;
            assert!(edge.probe("/metrics").await.text().contains("karman_queued{app=\"todos\"} 2"));
            let full = edge.get("/5", "").await;
            assert_eq!((full.status, full.code()), (503, "queue-full"));
            assert!(full.header("retry-after").is_some());
            go.send_replace(true);
        });
    for answer in [one, two, late, later] {
        assert_eq!(answer.status, 200, "who waited had a turn: {}", answer.code());
    }
}

/// Row L02 of `proxy/BAD-INPUT.md`: a thousand slow uploads are no thousand requests at work.
#[tokio::test]
async fn an_upload_takes_its_turn_when_it_is_there() {
    let (edge, app) = (Edge::start().await, Scripted::answering(OK));
    with_limits(&edge, app.address, r#""requests_in_flight":1,"queue":1,"queue_seconds":10"#).await;
    let mut uploads = Vec::new();
    for _ in 0..3 {
        let mut client = TcpStream::connect(edge.http).await.unwrap();
        // More than the edge waits for before it makes it a request.
        let heard = "y".repeat(4_096);
        let half = format!("POST /upload HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 4098\r\n\r\n{heard}");
        client.write_all(half.as_bytes()).await.unwrap();
        uploads.push(client);
    }
    until("all of them have begun", async || live(&edge, "todos").await["in_flight"] == 3).await;
    assert_eq!(edge.get("/", "").await.status, 200, "who sends slowly takes nobody's turn");
    assert_eq!(app.count(), 1, "the app has seen no end of theirs");
    for client in &mut uploads {
        client.write_all(b"lo").await.unwrap();
        assert!(read_message(client).await.unwrap().starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(app.count(), 4);
}

#[tokio::test]
async fn an_upload_that_is_there_waits_for_its_turn() {
    let (go, going) = tokio::sync::watch::channel(false);
    let app = Scripted::start(move |_, mut stream, heads| {
        let mut going = going.clone();
        async move {
            while heads.read(&mut stream).await {
                let length = if heads.last().starts_with("POST") { 5 } else { 0 };
                stream.read_exact(&mut [0; 5][..length]).await.unwrap();
                let _ = going.wait_for(|go| *go).await;
                let _ = stream.write_all(OK).await;
            }
        }
    });
    let edge = Edge::start().await;
    with_limits(&edge, app.address, r#""requests_in_flight":1,"queue":1,"queue_seconds":60"#).await;
    let (first, second, ()) = tokio::join!(edge.get("/first", ""), edge.post("/second", "", "hello"), async {
        until("one works and one waits", async || live(&edge, "todos").await["queued"] == 1).await;
        let third = edge.post("/third", "", "hello").await;
        assert_eq!((third.status, third.code()), (503, "queue-full"));
        go.send_replace(true);
    });
    assert_eq!((first.status, second.status), (200, 200));
}

#[tokio::test]
async fn a_wait_for_a_turn_ends_and_is_in_the_log() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        while heads.read(&mut stream).await {
            tokio::time::sleep(Duration::from_millis(if heads.last().contains("/long") { 2_500 } else { 0 })).await;
            let _ = stream.write_all(OK).await;
        }
    });
    let edge = Edge::start().await;
    with_limits(&edge, app.address, r#""requests_in_flight":1,"queue":9,"queue_seconds":1"#).await;
    let (long, waited) = tokio::join!(edge.get("/long", ""), async {
        until("the long one is at work", async || app.count() == 1).await;
        edge.get("/late", "").await
    });
    assert_eq!(long.status, 200);
    assert_eq!((waited.status, waited.code()), (503, "queue-timeout"));
    let line = &edge.lines_of(waited.header("x-request-id").unwrap(), 1).await[0];
    assert!(line["ms"]["queue"].as_f64().unwrap() >= 1_000.0, "{line}");
    assert_eq!(edge.get("/next", "").await.status, 200, "the turn was given back");
    assert_eq!(live(&edge, "todos").await["queued"], 0);
}

#[tokio::test]
async fn a_client_network_has_its_rate_and_another_has_its_own() {
    let (edge, app) = (Edge::start_with("trusted_proxies: [\"127.0.0.0/8\"]").await, App::start("a"));
    with_limits(&edge, app.address, r#""requests_per_second_per_client":3,"sockets_per_second_per_client":1"#).await;
    let ask = async |client: &str| edge.get("/api/instance", &format!("x-forwarded-for: {client}\r\n")).await;
    let start = Instant::now();
    let mut refused = 0;
    for _ in 0..30 {
        let answer = ask("203.0.113.7").await;
        assert!(answer.status == 200 || over_limit(&answer), "{answer:?}");
        refused += usize::from(answer.status == 429);
    }
    let allowed = 3 + 3 * (start.elapsed().as_secs() as usize + 1);
    assert!(30 - refused <= allowed, "{refused} of 30 were refused in {:?}", start.elapsed());
    assert_eq!(ask("203.0.113.8").await.status, 200, "who asks once is not refused for another");
    let upgrade = async |client: &str| edge.socket_at("/websocket", &[("x-forwarded-for", client)]).await.map(|_| ());
    let outcomes = [upgrade("203.0.113.7").await, upgrade("203.0.113.7").await, upgrade("203.0.113.7").await];
    assert!(outcomes[0].is_ok(), "sockets are counted apart");
    assert!(outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(over_limit)), "{outcomes:?}");
    assert!(upgrade("203.0.113.8").await.is_ok());
}

#[tokio::test]
async fn an_app_has_so_many_sockets() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    with_limits(&edge, app.address, r#""sockets":2"#).await;
    let open = async || edge.socket_at("/websocket", &[]).await;
    let (one, _two): (Result<Ws, _>, Result<Ws, _>) = (open().await, open().await);
    assert!(open().await.is_err_and(|answer| over_limit(&answer)), "refused before its 101, not after");
    assert!(over_limit(&edge.get("/sockjs/info", "").await), "and who asks whether it may come, may not");
    assert_eq!(edge.get("/api/instance", "").await.status, 200, "requests are no sockets");
    drop(one);
    until("one is gone", async || live(&edge, "todos").await["sockets"] == 1).await;
    assert!(open().await.is_ok());
}

#[tokio::test]
async fn an_app_has_so_many_connections() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    with_limits(&edge, app.address, r#""connections":3"#).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let (client, answer) = ask_and_stay(&edge, HOST).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        kept.push(client);
    }
    assert_eq!(live(&edge, "todos").await["connections"], 3);
    let (mut fourth, answer) = ask_and_stay(&edge, HOST).await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("over-limit"), "{answer}");
    assert_eq!(fourth.read(&mut [0]).await.unwrap(), 0, "and is closed");
    kept[0].write_all(format!("GET /api HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    assert!(!read_message(&mut kept[0]).await.unwrap().contains("over-limit"), "who is in stays in");
    drop(kept);
    until("they are gone", async || live(&edge, "todos").await["connections"] == 0).await;
}

/// Two owners at one edge that may have 40 connections.
async fn two_owners() -> (Edge, App) {
    let (edge, app) = (Edge::start_with("limits: {connections: 40, tight_percent: 50, full_percent: 75}").await, App::start("a"));
    let of = |owner: &str| {
        format!(r#"{{"owner":"{owner}","hosts":["{owner}.example.com"],"instances":{}}}"#, instances_json(&[("a", app.address)]))
    };
    let document = format!(r#"{{"generation":1,"apps":{{"hog":{},"lamb":{}}}}}"#, of("hog"), of("lamb"));
    assert_eq!(edge.admin("PUT", "/v1/apps", &document).await.status, 200);
    (edge, app)
}

#[tokio::test]
async fn who_has_more_than_a_fair_share_gives_first() {
    let (edge, _app) = two_owners().await;
    let (mut lamb, answer) = ask_and_stay(&edge, "lamb.example.com").await;
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    let mut hog = Vec::new();
    for _ in 0..35 {
        hog.push(ask_and_stay(&edge, "hog.example.com").await.0);
    }
    until("the hog's idle connections make room", async || {
        edge.admin("GET", "/v1/status", "").await.json()["connections"].as_u64() < Some(30)
    })
    .await;
    lamb.write_all(b"GET /api HTTP/1.1\r\nhost: lamb.example.com\r\n\r\n").await.unwrap();
    let answer = read_message(&mut lamb).await.expect("the lamb's connection was idle as long, and is open");
    assert!(answer.contains("\r\nconnection: keep-alive\r\n") || answer.contains("\r\nConnection: keep-alive\r\n"), "{answer}");
    assert_eq!(live(&edge, "lamb").await["over_share"], false);
}

#[tokio::test]
async fn an_owner_whose_apps_are_awaited_by_many_leaves_seats_for_the_others() {
    let (edge, app) = (Edge::start_with("limits: {held_requests: 10}").await, App::start("a"));
    let put = async |generation: u64, instances: &str| {
        let of = |name: &str, owner: &str| {
            format!(r#""{name}":{{"owner":"{owner}","hosts":["{name}.example.com"],"instances":{instances}}}"#)
        };
        let apps = [of("sow", "hog"), of("boar", "hog"), of("piglet", "hog"), of("lamb", "sheep")].join(",");
        let document = format!(r#"{{"generation":{generation},"apps":{{{apps}}}}}"#);
        assert_eq!(edge.admin("PUT", "/v1/apps", &document).await.status, 200);
    };
    put(1, r#"{"a":{"address":"127.0.0.1:1","state":"starting"}}"#).await;
    let ask = async |name: &str| {
        edge.ask(&format!("GET /api/instance HTTP/1.1\r\nhost: {name}.example.com\r\nconnection: close\r\n\r\n")).await.status
    };
    let held = async |name: &str| live(&edge, name).await["held"].as_u64().unwrap();
    let crowd = async {
        let crowd = ["sow", "boar", "piglet"].into_iter().cycle().take(21).map(ask);
        futures_util::future::join_all(crowd).await
    };
    let (mut crowd, lamb, ()) = tokio::join!(
        crowd,
        async {
            let hogs = async || held("sow").await + held("boar").await + held("piglet").await;
            until("the hog has what it may", async || hogs().await == 5).await;
            ask("lamb").await
        },
        async {
            until("the lamb waits", async || held("lamb").await == 1).await;
            put(2, &instances_json(&[("a", app.address)])).await;
        }
    );
    crowd.sort_unstable();
    assert_eq!((crowd, lamb), ([vec![200; 5], vec![503; 16]].concat(), 200));
}

/// Row L03 of `proxy/BAD-INPUT.md`: connections that say nothing take every place.
#[tokio::test]
async fn silent_connections_make_room_when_the_edge_is_full() {
    let (edge, _app) = two_owners().await;
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(TcpStream::connect(edge.http).await.unwrap());
    }
    let start = Instant::now();
    let (_, answer) = ask_and_stay(&edge, "lamb.example.com").await;
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    assert!(start.elapsed() < Duration::from_secs(10), "not at the deadline for a head: {:?}", start.elapsed());
}

/// Row L03 of `proxy/BAD-INPUT.md`: more connections than the process may have files.
#[tokio::test]
async fn accepting_pauses_without_files_and_goes_on_with_them() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let open = std::fs::read_dir(format!("/proc/{}/fd", edge.process.id())).unwrap().count();
    let limit =
        Command::new("prlimit").arg(format!("--pid={}", edge.process.id())).arg(format!("--nofile={}:", open + 20)).status();
    assert!(limit.unwrap().success());
    let mut crowd = Vec::new();
    for _ in 0..60 {
        crowd.push(TcpStream::connect(edge.http).await.unwrap());
    }
    let log = || std::fs::read_to_string(edge.dir.path().join("edge.log")).unwrap();
    until("it says so, once", async || log().contains("cannot be accepted")).await;
    let next = UnixStream::connect(edge.socket().with_extension("sock.handover")).await.unwrap();
    until("another process that wants to take over is not heard", async || log().contains("cannot be heard")).await;
    drop((crowd, next));
    assert_eq!(edge.get("/api/instance", "").await.status, 200, "and recovers by itself");
    assert_eq!(log().matches("cannot be accepted").count(), 1, "not once for every try");
}

//! The side doors: the admin socket, the probe listener, and what grows with what strangers ask for.

use std::collections::BTreeSet;

use karman_faults::Scripted;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::rig::{App, Edge, HOST, exchange};

/// Row L18 of `proxy/BAD-INPUT.md`.
#[tokio::test]
async fn junk_at_the_admin_socket_changes_nothing() {
    let (edge, app) = (Edge::start_with("limits: {admin_body_bytes: 1048576}").await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let generation = edge.generation().await;
    let put = |framing: &str| format!("PUT /v1/apps HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n{framing}\r\n");
    let body = |body: &str| format!("{}{body}", put(&format!("content-length: {}\r\n", body.len())));
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
    for (what, sends, status) in [
        ("no HTTP", "\0\u{1}\u{2} junk\r\n\r\n".to_owned(), None),
        ("a gigabyte announced", put("content-length: 1073741824\r\n"), Some(413)),
        ("two megabytes in chunks", format!("{}{chunk}{chunk}", put("transfer-encoding: chunked\r\n")), Some(413)),
        ("no JSON", body("\u{7f}ELF"), Some(400)),
        ("deep nesting", body(&"[".repeat(500_000)), Some(400)),
        ("a document of nothing", body("[]"), Some(422)),
        ("no such call", "DELETE /v1/apps HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".to_owned(), Some(405)),
        (
            "a path to elsewhere",
            "GET /v1/apps/../../etc/passwd HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".to_owned(),
            Some(404),
        ),
    ] {
        let stream = UnixStream::connect(edge.socket()).await.unwrap();
        let answer = exchange(stream, &sends).await;
        assert_eq!(answer.map(|answer| answer.status), status, "L18: {what}");
        assert_eq!(edge.generation().await, generation, "L18: {what}");
    }
    // And whoever breaks off in the middle.
    let mut half = UnixStream::connect(edge.socket()).await.unwrap();
    half.write_all(put("content-length: 1000\r\n").as_bytes()).await.unwrap();
    drop(half);
    assert_eq!(edge.get("/api/instance", "").await.status, 200);
}

/// Row L18: what the edge tells of itself is not told to those who come in for an app.
#[tokio::test]
async fn no_side_door_opens_to_clients() {
    let edge = Edge::start().await;
    for path in ["/v1/status", "/v1/apps", "/metrics", "/healthz", "/readyz"] {
        for host in ["admin", "probe", "localhost", &edge.http.to_string()] {
            let answer = edge.ask(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
            assert_eq!(answer.code(), "unknown-host", "L18: {path} at {host}");
        }
    }
    for (sends, status) in [
        ("POST /metrics HTTP/1.1\r\nhost: probe\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc", Some(405)),
        ("GET /v1/status HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n", Some(404)),
        ("\x16\x03\x01 junk\r\n\r\n", None),
    ] {
        let stream = TcpStream::connect(edge.probe).await.unwrap();
        assert_eq!(exchange(stream, sends).await.map(|answer| answer.status), status, "L18: {sends:?}");
    }
    assert_eq!(edge.probe("/healthz").await.status, 200);
}

/// The names and labels of all series.
async fn series(edge: &Edge) -> BTreeSet<String> {
    let text = edge.probe("/metrics").await.text();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Row L15: nothing that a stranger chooses becomes a label.
#[tokio::test]
async fn strangers_make_no_series() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let mut before = BTreeSet::new();
    for round in 0..2 {
        for n in 0..100 {
            let (host, path) = if n % 2 == 0 {
                (format!("h{round}-{n}.example.net"), "/".to_owned())
            } else {
                (HOST.to_owned(), format!("/{round}/{n}"))
            };
            let method = ["GET", "POST", "BREW", "get"][n % 4];
            let version = if n % 10 == 0 { "HTTP/3.0" } else { "HTTP/1.1" };
            edge.ask(&format!("{method} {path} {version}\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
        }
        let now = series(&edge).await;
        if round == 0 {
            before = now;
        } else {
            assert_eq!(now.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new(), "L15");
        }
    }
    let text = edge.probe("/metrics").await.text();
    assert!(!text.contains("example.net") && !text.contains("BREW"));
}

/// Row L13: the edge packs and unpacks nothing, so that no bomb goes off in it.
#[tokio::test]
async fn packed_bodies_pass_as_they_are() {
    const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xed\xc1\x01\x01\x00\x00\x00\x80\x90\xfe\xaf\xee\x08";
    let app = Scripted::start(|_, mut stream, heads| async move {
        while heads.read(&mut stream).await {
            let mut body = [0; PACKED.len()];
            stream.read_exact(&mut body).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        }
    });
    let edge = Edge::start().await;
    edge.put_todos(&[("a", app.address)]).await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\naccept-encoding: gzip, br, zstd;q=0, *;q=9, {}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        "x, ".repeat(500),
        PACKED.len()
    );
    client.write_all(&[head.as_bytes(), PACKED].concat()).await.unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert!(said.ends_with(PACKED), "L13: byte for byte");
    assert!(String::from_utf8_lossy(&said).to_ascii_lowercase().contains("content-encoding: gzip\r\n"));
}

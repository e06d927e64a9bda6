//! Rows L01 and L02, and clients that leave: whoever takes too long, or is gone, holds nothing for long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use karman_faults::{Scripted, read_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Got, Wants};
use super::{Border, difference, refusals};
use crate::rig::{App, Edge, HOST, SOON, parse, until};

/// Sends a byte every tenth of a second until the edge has had enough.
async fn drip(edge: SocketAddr, first: &str, drop: &[u8]) -> Got {
    let (reader, mut writer) = TcpStream::connect(edge).await.unwrap().into_split();
    writer.write_all(first.as_bytes()).await.unwrap();
    let dripping = async {
        while writer.write_all(drop).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::future::pending().await
    };
    tokio::select! { got = Got::read(reader) => got, () = dripping => unreachable!() }
}

#[tokio::test]
async fn a_head_has_one_deadline_however_it_drips() {
    let mut border = Border::start_with("limits: {head_seconds: 1}").await;
    let start = Instant::now();
    let begins = "GET / HTTP/1.1\r\nhost: todos.example.com\r\nx: ";
    let judged = border.judge("L01", Wants::refused(408, "request-timeout"), async |edge| drip(edge, begins, b"y").await);
    assert_eq!(judged.await, Ok(()));
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    let line = border.edge.log().into_iter().find(|line| line["status"] == 408).unwrap();
    assert_eq!(line["why"], "a head that came too slowly");
}

#[tokio::test]
async fn who_says_nothing_is_closed_without_a_word() {
    let border = Border::start_with("limits: {head_seconds: 1, keepalive_seconds: 1}").await;
    let mut silent = TcpStream::connect(border.edge.http).await.unwrap();
    let mut said = Vec::new();
    silent.read_to_end(&mut said).await.unwrap();
    assert!(said.is_empty(), "L01, T16: {}", String::from_utf8_lossy(&said));
    let mut idle = TcpStream::connect(border.edge.http).await.unwrap();
    idle.write_all(format!("GET /one HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    idle.read_to_end(&mut said).await.unwrap();
    assert!(String::from_utf8_lossy(&said).starts_with("HTTP/1.1 200 "), "L02: answered once, then closed as idle");
    assert_eq!(border.edge.log().len(), 1, "silence is no request");
}

#[tokio::test]
async fn a_body_keeps_to_a_rate() {
    let mut border = Border::start_with("limits: {body_pause_seconds: 1, body_bytes_per_second_min: 100}").await;
    // Of what no app could use, it hears nothing; whole chunks are its own, until they come too slowly.
    for (head, dripping, heard) in [
        ("content-length: 1000\r\n\r\n", "y", 0),
        ("transfer-encoding: chunked\r\n\r\n3e8\r\n", "y", 0),
        ("transfer-encoding: chunked\r\n\r\n", "1\r\ny\r\n", 1),
    ] {
        let begins = format!("POST /x HTTP/1.1\r\nhost: {HOST}\r\n{head}");
        let wants = Wants::refused(408, "request-timeout");
        let judged = border.judge("L02", wants, async |edge| drip(edge, &begins, dripping.as_bytes()).await);
        assert_eq!(judged.await, Ok(()), "{head}");
        assert_eq!(border.app.connections(), heard, "{head}");
    }
    let late: Vec<_> = border.edge.log().into_iter().filter(|line| line["status"] == 408).collect();
    assert!(late.len() == 3 && late.iter().all(|line| line["why"] == "a body that came too slowly"), "{late:?}");
    // 200 bytes a second are enough.
    let (mut reader, mut writer) = TcpStream::connect(border.edge.http).await.unwrap().into_split();
    writer
        .write_all(format!("POST /x HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-length: 500\r\n\r\n").as_bytes())
        .await
        .unwrap();
    for _ in 0..25 {
        writer.write_all(&[b'y'; 20]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut said = Vec::new();
    reader.read_to_end(&mut said).await.unwrap();
    assert_eq!(parse(&said).unwrap().status, 200, "L02: slow, but not too slow");
    border.be_served().await;
}

/// What has come counts when patience ends, also if its client was left alone at that moment.
#[tokio::test]
async fn what_came_while_its_client_was_left_alone_counts() {
    let (edge, app) =
        (Edge::start_with("limits: {body_pause_seconds: 3, body_bytes_per_second_min: 1000}").await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let begins =
        format!("POST /api/echo HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2000\r\n");
    let upload = async |begins: String, edge: SocketAddr| {
        let mut client = TcpStream::connect(edge).await.unwrap();
        client.write_all((begins + &"y".repeat(4_096)).as_bytes()).await.unwrap();
        // Slow from here on, and then nothing until shortly before the end.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        client.write_all(b"y").await.unwrap();
        tokio::time::sleep(Duration::from_millis(900)).await;
        client.write_all(format!("{}\r\n0\r\n\r\n", "y".repeat(4_095)).as_bytes()).await.unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        parse(&said).unwrap().status
    };
    let uploads: Vec<_> = (0..32).map(|_| tokio::spawn(upload(begins.clone(), edge.http))).collect();
    for upload in uploads {
        assert_eq!(upload.await.unwrap(), 200);
    }
}

/// Below the rate or above it, and long before it is cut: each chunk is at the app soon after it was sent, the first too,
/// and so is a chunk that comes byte by byte, once it is whole.
#[tokio::test]
async fn a_body_in_small_pieces_comes_through_as_it_is_sent() {
    for (bytes, in_bytes) in [(1, false), (100, false), (3, true)] {
        let arrived = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&arrived);
        let app = Scripted::start(move |_, mut stream, heads| {
            let arrived = Arc::clone(&counting);
            async move {
                heads.read(&mut stream).await;
                while let Ok(byte) = stream.read_u8().await {
                    arrived.fetch_add(usize::from(byte == b'y'), Relaxed);
                }
            }
        });
        let edge = Edge::start().await;
        edge.put_todos(&[("a", app.address)]).await;
        let mut client = TcpStream::connect(edge.http).await.unwrap();
        client.set_nodelay(true).unwrap();
        let head = format!("POST /x HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let chunk = format!("{bytes:x}\r\n{}\r\n", "y".repeat(bytes));
        let mut slowest = Duration::ZERO;
        for piece in 1..=10 {
            for part in chunk.as_bytes().chunks(if in_bytes { 1 } else { chunk.len() }) {
                client.write_all(part).await.unwrap();
                if in_bytes {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            let sent = Instant::now();
            while arrived.load(Relaxed) < piece * bytes {
                assert!(sent.elapsed() < SOON, "L02: piece {piece} arrives");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            slowest = slowest.max(sent.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // At most 220 ms, or a second after it came in parts; and what a busy machine adds.
        let bound = if in_bytes { 1_400 } else { 600 };
        assert!(slowest < Duration::from_millis(bound), "L02: {slowest:?} for chunks of {bytes}");
    }
}

/// Whoever sends a part of a body and waits for what the app says to it does not drip.
#[tokio::test]
async fn who_sends_a_part_and_waits_hears_what_the_app_says_to_it() {
    let app = Scripted::start(|_, mut stream, seen| async move {
        seen.read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let mut border = Border::before(app, "").await;
    for body in [
        "content-length: 1000\r\n\r\npart of it",
        "transfer-encoding: chunked\r\n\r\n3e8\r\npart of it",
        "transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n",
        "transfer-encoding: chunked\r\n\r\n",
    ] {
        let judged = border.judge("L02", Wants::served(401), async |edge| {
            let mut client = TcpStream::connect(edge).await.unwrap();
            let begins = format!("POST /x HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n{body}");
            client.write_all(begins.as_bytes()).await.unwrap();
            let answer = read_message(&mut client).await.expect("an answer");
            // It needs to send no more.
            client.shutdown().await.unwrap();
            let rest = Got::read(client).await;
            Got { bytes: [answer.as_bytes(), &rest.bytes].concat(), ..rest }
        });
        assert_eq!(judged.await, Ok(()), "{body}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    const LENGTH: usize = 50_000_000;
    let app = Scripted::start(|_, mut stream, seen| async move {
        seen.read(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&vec![b'x'; LENGTH]).await;
    });
    let mut border = Border::before(app, "limits: {body_pause_seconds: 1}").await;
    let (refused, requests) = (refusals(&border.edge).await, border.requests().await);
    let mut client = TcpStream::connect(border.edge.http).await.unwrap();
    let request = format!("GET /x HTTP/1.1\r\nhost: {HOST}\r\nx-request-id: stuck\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    border.be_served().await;
    let line = &border.edge.lines_of("stuck", 1).await[0];
    assert_eq!(line["why"], "an answer that was taken too slowly", "L02: {line}");
    until("the app is rid of it", async || border.edge.instance("a").await["in_flight"] == 0).await;
    assert_eq!((border.app.count(), border.requests().await - requests), (1, 2), "L02: and the bystander's");
    let counted = difference(&refused, &refusals(&border.edge).await);
    assert_eq!((line["status"].as_u64(), line["code"].as_str()), (Some(200), Some("request-timeout")), "L02: {line}");
    assert_eq!(counted, [("request-timeout".to_owned(), 1)], "L02: {line}");
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    assert!(rest.len() < LENGTH, "a cut body never looks whole");
    border.be_served().await;
}

#[tokio::test]
async fn who_leaves_takes_the_apps_work_along() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        while heads.read(&mut stream).await {
            if heads.last().contains("/body") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
            }
            // An answer that never comes; the edge's leaving is what ends this.
            let start = Instant::now();
            let _ = stream.read(&mut [0]).await;
            if start.elapsed() > Duration::from_secs(10) {
                return;
            }
            stream.write_all(b"gone").await.unwrap_or_default();
        }
    });
    let edge = Edge::start().await;
    edge.put_todos(&[("a", app.address)]).await;
    for path in ["/head", "/body"] {
        let mut client = TcpStream::connect(edge.http).await.unwrap();
        let id = path.trim_start_matches('/');
        client.write_all(format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nx-request-id: {id}\r\n\r\n").as_bytes()).await.unwrap();
        until("the app has it", async || app.seen().iter().any(|head| head.contains(path))).await;
        drop(client);
        let line = &edge.lines_of(id, 1).await[0];
        assert!(line["ms"]["total"].as_f64().unwrap() < 5_000.0, "{line}");
        until("the app's work is no longer in flight", async || edge.instance("a").await["in_flight"] == 0).await;
    }
    let metrics = edge.probe("/metrics").await.text();
    assert!(!metrics.contains("class=\"5xx\""), "a client that leaves is no failure of the app");
}

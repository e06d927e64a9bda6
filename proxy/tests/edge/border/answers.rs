//! Rows S19 and L17 and what else an app can do wrong: the client learns that it was the app, never gets
//! half an answer as a whole one, and nobody gets what was meant for another.

use std::time::Duration;

use karman_faults::{Fault, OK, Relay, Scripted, Way, read_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Border, Case, Wants, converse};
use crate::rig::{Edge, HOST};

/// Longer than a part of an answer takes to its client.
const GONE_ON: Duration = Duration::from_millis(50);

/// An app that answers a request for `/N` with the Nth of these, and closes.
fn babbler(answers: &'static [(&'static str, &'static str, &'static str)]) -> Scripted {
    Scripted::start(move |_, mut stream, heads| async move {
        if heads.read(&mut stream).await {
            let head = heads.last();
            let n: usize = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            let _ = stream.write_all(answers[n].1.replace("HUGE", &"x".repeat(100_000)).as_bytes()).await;
            // So that the end is seen after the answer, and what was to go on waits for no more of it.
            tokio::time::sleep(GONE_ON).await;
        }
    })
}

/// Row, answer, code.
const GARBAGE: &[(&str, &str, &str)] = &[
    ("L17", "I am not HTTP at all\r\n\r\n", "instance-garbage"),
    ("L17", "<!doctype html><p>HTTP/0.9", "instance-garbage"),
    ("L17", "HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n", "instance-garbage"),
    ("L17", "HTTP/1.1 1000 High\r\ncontent-length: 0\r\n\r\n", "instance-garbage"),
    ("L17", "HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 0\r\n\r\n", "instance-garbage"),
    ("L17", "HTTP/1.1 200 OK\r\nx: a\rset-cookie: b=c\r\ncontent-length: 0\r\n\r\n", "instance-garbage"),
    ("L17", "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n", "instance-garbage"),
    ("L17", "HTTP/1.1 200 OK\r\nx: HUGE\r\ncontent-length: 0\r\n\r\n", "instance-garbage"),
    ("S02", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "instance-garbage"),
    ("S05", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "instance-garbage"),
    ("S05", "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello", "instance-garbage"),
    ("S19", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nGET / HTTP/1.1\r\n\r\n", "instance-garbage"),
    ("4a", "", "instance-reset"),
    ("4a", "HTTP/1.1 200 OK\r\ncontent-le", "instance-reset"),
    ("4a", "HTTP/1.1 100 Continue\r\n\r\n", "instance-reset"),
];

#[tokio::test]
async fn what_is_no_answer_has_its_code() {
    let mut border = Border::before(babbler(GARBAGE), "").await;
    let cases = GARBAGE.iter().enumerate().map(|(n, (row, _, code))| case(row, n, Wants::failed(502, code)));
    border.check(cases).await;
    assert_eq!(border.edge.instance("a").await["health"], "up", "it answers, if badly");
}

fn case(row: &'static str, n: usize, wants: Wants) -> Case {
    let sends = format!("GET /{n} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n").into_bytes();
    Case { row, sends, wants }
}

/// Row, answer, code in the log.
const CUT: &[(&str, &str, &str)] = &[
    ("4a", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", "instance-reset"),
    ("4a", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", "instance-reset"),
    ("4a", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nhalf", "instance-reset"),
    ("4a", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalfX", "instance-garbage"),
    ("4a", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzzz\r\n", "instance-garbage"),
];

#[tokio::test]
async fn half_an_answer_never_ends_as_a_whole_one() {
    let mut border = Border::before(babbler(CUT), "").await;
    border.check(CUT.iter().enumerate().map(|(n, (row, _, code))| case(row, n, Wants::cut(code)))).await;
}

/// Each on a connection of its own, which a fault is for.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n0123456789";

/// The same by way of a network that does it to an app that does nothing wrong.
#[tokio::test]
async fn what_a_network_does_to_an_answer_is_told_or_cut() {
    let app = Scripted::answering(ANSWER);
    let relay = Relay::start(app.address);
    let mut border = Border::by_way_of(relay.address, app, "").await;
    let whole = ANSWER.len();
    let soon = Duration::from_millis(50);
    for (way, fault, wants) in [
        (Way::There, Fault::None, Wants::served(200)),
        (Way::There, Fault::Delay(soon), Wants::served(200)),
        (Way::There, Fault::Drip(Duration::from_millis(1)), Wants::served(200)),
        (Way::Back, Fault::Delay(soon), Wants::served(200)),
        (Way::Back, Fault::Drip(Duration::from_millis(5)), Wants::served(200)),
        (Way::Back, Fault::Silence(0), Wants::failed(504, "first-byte-timeout")),
        (Way::Back, Fault::HalfClose(20), Wants::failed(502, "instance-reset")),
        (Way::Back, Fault::Reset(20), Wants::failed(502, "instance-reset")),
        (Way::Back, Fault::HalfClose(whole - 5), Wants::cut("instance-reset")),
        (Way::Back, Fault::Reset(whole - 5), Wants::cut("instance-reset")),
        (Way::Back, Fault::Insert(0, b"\x16\x03\x01"), Wants::failed(502, "instance-garbage")),
        (Way::Back, Fault::Insert(17, b"bad name: x\r\n"), Wants::failed(502, "instance-garbage")),
        // What comes behind an answer is nobody's.
        (Way::Back, Fault::Insert(whole - 1, EVIL.as_bytes()), Wants::served(200)),
    ] {
        relay.set(way, fault);
        border.check([case("4a", 0, wants)]).await;
        relay.set(way, Fault::None);
        border.check([case("4a", 0, Wants::served(200))]).await;
    }
}

const EVIL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";

/// Each answer is followed by one that nobody asked for, which must not be the next client's.
#[tokio::test]
async fn bytes_after_an_answer_are_nobodys() {
    for (row, method, answer) in [
        ("4a", "GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("4a", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("4a", "GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("4a", "GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n"),
        // Of the two framings chunked is the one that counts (RFC 9112 section 6.3), to us and to the client.
        ("S01", "GET", "HTTP/1.1 200 OK\r\ncontent-length: 90\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("4a", "HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"),
    ] {
        for late in [false, true] {
            let app = Scripted::start(move |_, mut stream, heads| async move {
                while heads.read(&mut stream).await {
                    if !heads.last().contains("/evil") {
                        let _ = stream.write_all(OK).await;
                        continue;
                    }
                    if late {
                        let _ = stream.write_all(answer.as_bytes()).await;
                        let _ = stream.write_all(EVIL.as_bytes()).await;
                    } else {
                        let _ = stream.write_all(format!("{answer}{EVIL}").as_bytes()).await;
                    }
                }
            });
            let edge = Edge::start().await;
            edge.put_todos(&[("a", app.address)]).await;
            let mut client = TcpStream::connect(edge.http).await.unwrap();
            client.write_all(format!("{method} /evil HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head.push(client.read_u8().await.expect("an answer").into());
            }
            for _ in 0..3 {
                let next = edge.get("/next", "").await;
                assert_eq!((next.status, next.text().as_str()), (200, "ok"), "{row}: {method}, {answer:?}, late: {late}");
            }
        }
    }
}

#[tokio::test]
async fn interim_answers_are_few() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        while heads.read(&mut stream).await {
            let hints = if heads.last().contains("/few") { 3 } else { 1_000_000 };
            for _ in 0..hints {
                if stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n").await.is_err() {
                    return;
                }
            }
            let _ = stream.write_all(OK).await;
        }
    });
    let edge = Edge::start().await;
    edge.put_todos(&[("a", app.address)]).await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    client.write_all(format!("GET /few HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    for _ in 0..3 {
        assert!(read_message(&mut client).await.unwrap().starts_with("HTTP/1.1 103 "), "4a: hints go on to HTTP/1.1");
    }
    assert!(read_message(&mut client).await.unwrap().starts_with("HTTP/1.1 200 "));
    let old = converse(edge.http, format!("GET /few HTTP/1.0\r\nhost: {HOST}\r\n\r\n").as_bytes()).await;
    assert_eq!(old.answer().map(|answer| answer.status), Some(200), "4a: and not to HTTP/1.0");
    let endless = format!("GET /endless HTTP/1.1\r\nhost: {HOST}\r\nx-request-id: endless\r\nconnection: close\r\n\r\n");
    let _ = converse(edge.http, endless.as_bytes()).await;
    assert_eq!(edge.lines_of("endless", 1).await[0]["code"], "instance-garbage", "4a: hints without end");
}

#[tokio::test]
async fn an_old_app_and_a_talkative_one_are_understood() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        heads.read(&mut stream).await;
        let answer = if heads.last().contains("/old") {
            "HTTP/1.0 200 OK\r\n\r\nto the end".to_owned()
        } else {
            format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{}\r\n", "set-cookie: a=b\r\n".repeat(200))
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    });
    let edge = Edge::start().await;
    edge.put_todos(&[("a", app.address)]).await;
    assert_eq!(edge.get("/old", "").await.text(), "to the end");
    let answer = edge.get("/cookies", "").await;
    assert_eq!(answer.headers.iter().filter(|(name, value)| name == "set-cookie" && value == "a=b").count(), 200);
}

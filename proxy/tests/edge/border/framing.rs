//! Rows S01 to S20: where a request ends, and that nobody can hide one in another.

use karman_faults::{OK, Scripted, read_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Case, Got, Wants, is_silent};
use super::{Border, difference, refusals, refused, served};
use crate::rig::{HOST, until};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: todos.example.com\r\n\r\n";

/// A POST with these lines, and this after its head.
fn post(lines: &str, rest: &str) -> String {
    format!("POST /x HTTP/1.1\r\nhost: todos.example.com\r\nconnection: close\r\n{lines}\r\n{rest}")
}

fn chunked(body: &str) -> String {
    post("transfer-encoding: chunked\r\n", body)
}

#[tokio::test]
async fn a_body_has_one_framing() {
    let mut cases = vec![
        refused("S01", post("content-length: 6\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\nG")),
        refused("S01", post("transfer-encoding: chunked\r\ncontent-length: 4\r\n", &format!("5c\r\n{SMUGGLED}\r\n0\r\n\r\n"))),
        refused("S03", "POST / HTTP/1.0\r\nhost: todos.example.com\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        refused(
            "S03",
            "POST / HTTP/1.0\r\nhost: todos.example.com\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        ),
        served("S04", format!("POST /x HTTP/1.0\r\nhost: todos.example.com\r\n\r\n{SMUGGLED}"), ["post /x"], ["smuggled"]),
        served("S05", post("content-length: 5\r\n", "hello"), ["content-length: 5\r\n", "\r\n\r\nhello"], []),
        served("S05", post("content-length: 00005\r\n", "hello"), ["\r\n\r\nhello"], []),
        refused("S06", post("content-length: 5\r\ncontent-length: 5\r\n", "hello")),
        refused("S06", post("content-length: 5, 5\r\n", "hello")),
        served("S02", chunked("5\r\nhello\r\n0\r\n\r\n"), ["transfer-encoding: chunked", "hello"], []),
        served(
            "S07",
            format!(
                "GET /x HTTP/1.1\r\nhost: todos.example.com\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{SMUGGLED}",
                SMUGGLED.len()
            ),
            ["get /x", "get /smuggled"],
            [],
        ),
        served(
            "S18",
            "GET /x HTTP/1.1\r\nhost: todos.example.com\r\nconnection: close, Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
            ["get /x"],
            ["h2c", "http2-settings", "upgrade"],
        ),
        served(
            "S18",
            "GET /x HTTP/1.1\r\nhost: todos.example.com\r\nconnection: close, Upgrade\r\nupgrade: foo\r\n\r\n",
            ["get /x"],
            ["foo"],
        ),
    ];
    for coding in [
        "xchunked",
        "chunked;q=1",
        "\"chunked\"",
        "\u{b}chunked",
        "identity",
        "gzip",
        "chunked, identity",
        "gzip, chunked",
        "chunked, chunked",
        ",chunked",
        "",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
    ] {
        cases.push(refused("S02", post(&format!("transfer-encoding: {coding}\r\n"), "0\r\n\r\n")));
    }
    for length in [
        "5\r\ncontent-length: 6",
        "5, 6",
        "+5",
        "-1",
        "0x5",
        "5a",
        "",
        "9223372036854775808",
        "18446744073709551621",
        "1_0",
        "5 5",
        "5.0",
    ] {
        cases.push(refused("S05", post(&format!("content-length: {length}\r\n"), "hello")));
    }
    Border::start().await.check(cases).await;
}

/// A body is read after its head went on, so the app may have seen the head; it never sees a whole request.
#[tokio::test]
async fn a_chunk_that_two_readers_could_read_differently_ends_the_request() {
    let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(20_000));
    let trailer = format!("0\r\nx: {}\r\n\r\n", "x".repeat(65_536));
    let cases = [
        ("S10", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("S10", "+3\r\nabc\r\n0\r\n\r\n"),
        ("S10", "12345678901234567\r\nabc\r\n0\r\n\r\n"),
        ("S10", " 3\r\nabc\r\n0\r\n\r\n"),
        ("S10", "3\nabc\n0\n\n"),
        ("S11", "\r\n\r\n"),
        ("S11", ";ext\r\n\r\n"),
        ("S11", "3\r\nabc\r\n\r\n\r\n"),
        ("S12", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        ("S12", "3;a\0\r\nabc\r\n0\r\n\r\n"),
        ("S12", &long),
        ("S13", "3\r\nabcd\r\n0\r\n\r\n"),
        ("S14", "0\r\n folded\r\n\r\n"),
        ("S14", &trailer),
    ];
    Border::start().await.check(cases.map(|(row, body)| refused(row, chunked(body)))).await;
}

#[tokio::test]
async fn trailers_are_dropped() {
    let with = ["transfer-encoding: chunked", "abc"];
    let cases = vec![
        served(
            "S14",
            chunked("3\r\nabc\r\n0\r\nHost: evil\r\nContent-Length: 5\r\nCookie: a=b\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"),
            with,
            ["evil", "content-length", "cookie", "6.6.6.6"],
        ),
        served("S12", chunked("3;a=b\r\nabc\r\n0;c\r\n\r\n"), with, ["a=b"]),
    ];
    Border::start().await.check(cases).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_never_ends_for_the_app() {
    let mut border = Border::start().await;
    let break_off = async |edge, body: String| {
        let mut client = TcpStream::connect(edge).await.unwrap();
        client.write_all(body.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        Got::read(client).await
    };
    let small = post("content-length: 10\r\n", "hel");
    let judged = border.judge("S13", Wants::refused(400, "bad-request"), async |edge| break_off(edge, small).await);
    assert_eq!(judged.await, Ok(()), "it was nobody's request yet");
    let small = chunked("5\r\nhel");
    let judged = border.judge("S13", Wants::refused(400, "bad-request"), async |edge| break_off(edge, small).await);
    assert_eq!(judged.await, Ok(()), "nor was this");
    // One that had gone on is given up, as that of any client that leaves.
    let got = break_off(border.edge.http, chunked("5\r\nhello\r\n")).await;
    assert!(got.bytes.is_empty(), "S13: {got:?}");
    until("the request is in the log (S13)", async || border.edge.log().iter().any(|line| line["status"] == 499)).await;
    assert_eq!(border.app.count(), 0, "S13: a body that is not whole is no request");
    border.be_served().await;
}

/// What follows a request is the next one, judged and logged like any, in order.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let mut border = Border::start().await;
    let (refused, requests) = (refusals(&border.edge).await, border.requests().await);
    let mut client = TcpStream::connect(border.edge.http).await.unwrap();
    let mut sends = String::new();
    for n in 0..50 {
        let body = if n % 3 == 0 {
            "content-length: 3\r\n\r\nabc"
        } else if n % 3 == 1 {
            "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        } else {
            "\r\n"
        };
        sends += &format!("POST /{n} HTTP/1.1\r\nhost: {HOST}\r\nx-request-id: pipe-{n}\r\n{body}");
    }
    // In pieces, so that some come while another is being answered.
    for piece in sends.as_bytes().chunks(97) {
        client.write_all(piece).await.unwrap();
    }
    for n in 0..50 {
        let answer = read_message(&mut client).await.unwrap_or_else(|| panic!("S15: answer {n}"));
        assert!(answer.contains(&format!("x-request-id: pipe-{n}\r\n")), "S15: {n} in its turn: {answer}");
        assert_eq!(border.edge.lines_of(&format!("pipe-{n}"), 1).await.len(), 1);
    }
    let seen: Vec<_> = border.app.since(0).iter().map(|message| message.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(seen, (0..50).map(|n| format!("/{n}")).collect::<Vec<_>>());
    border.be_served().await;
    assert_eq!(border.requests().await - requests, 51, "S15: each is counted, and the bystander's");
    assert_eq!(refusals(&border.edge).await, refused, "S15: as what it was");
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await.unwrap();
    let answer = read_message(&mut client).await.unwrap();
    assert!(answer.contains("x-karman-error: bad-request"), "S20: judged like the first: {answer}");
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "and the connection is closed");
    let counted = difference(&refused, &refusals(&border.edge).await);
    assert_eq!(counted, [("bad-request".to_owned(), 1)], "S20: counted like the first");
    assert_eq!(border.app.count(), 50, "S20: and it reached no app");
    border.be_served().await;
}

/// The app, or the edge, answers before all of a body is there: the rest of it is never read as a request.
#[tokio::test]
async fn an_early_answer_leaves_no_request_behind() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        if heads.read(&mut stream).await && stream.write_all(answer).await.is_ok() {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    // Answered, its connection would be kept, and is idle then.
    let mut border = Border::before(app, "limits: {keepalive_seconds: 1}").await;
    for (row, host, wants) in [
        ("S08", HOST, Wants::served(200)),
        ("S08", "nobody.example.com", Wants::refused(404, "unknown-host")),
        ("S07", HOST, Wants { without: vec!["/smuggled"], ..Wants::served(200) }),
    ] {
        let judged = border.judge(row, wants, async |edge| {
            let mut client = TcpStream::connect(edge).await.unwrap();
            // As much as the edge waits for.
            let begins = "y".repeat(4_096);
            let length = begins.len() + SMUGGLED.len();
            let head = format!("POST /x HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n{begins}");
            client.write_all(head.as_bytes()).await.unwrap();
            let answer = read_message(&mut client).await.expect("an answer before the body");
            client.write_all(SMUGGLED.as_bytes()).await.unwrap();
            let rest = Got::read(client).await;
            Got { bytes: [answer.as_bytes(), &rest.bytes].concat(), ..rest }
        });
        assert_eq!(judged.await, Ok(()));
    }
}

#[tokio::test]
async fn an_expectation_is_relayed_once() {
    let app = Scripted::start(|_, mut stream, seen| async move {
        while seen.read(&mut stream).await {
            if seen.last().contains("/expects") {
                // Twice, which is once too often.
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
                stream.read_exact(&mut [0; 5]).await.unwrap();
            }
            stream.write_all(OK).await.unwrap();
        }
    });
    let mut border = Border::before(app, "").await;
    let wants = Wants { with: vec!["expect: 100-continue"], ..Wants::served(200) };
    let judged = border.judge("H23, S09", wants, async |edge| {
        let mut client = TcpStream::connect(edge).await.unwrap();
        let lines = "connection: close\r\nexpect: 100-continue\r\ncontent-length: 5";
        client.write_all(format!("POST /expects HTTP/1.1\r\nhost: {HOST}\r\n{lines}\r\n\r\n").as_bytes()).await.unwrap();
        assert!(read_message(&mut client).await.unwrap().starts_with("HTTP/1.1 100 "), "H23: the app's own word");
        client.write_all(b"hello").await.unwrap();
        Got::read(client).await
    });
    assert_eq!(judged.await, Ok(()));
    // What nobody knows does not go on.
    let unknown = ["bogus", "y 100-continue", "100-continue, x"].map(|expectation| {
        let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\nexpect: {expectation}\r\n\r\n");
        served("S09", request, ["get / "], ["expect"])
    });
    border.check(unknown).await;
}

fn handshake(lines: &str) -> String {
    format!("GET /websocket HTTP/1.1\r\nhost: {HOST}\r\n{lines}\r\n")
}

const UPGRADE: &str = "upgrade: websocket\r\nconnection: Upgrade\r\n";
const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n";

/// CVE-2026-2833: bytes behind a handshake are nobody's request, whatever the app says to it.
#[tokio::test]
async fn nothing_passes_before_the_101() {
    let app = Scripted::answering(b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n");
    let whole = handshake(&format!("{UPGRADE}{KEY}"));
    let with_body = handshake(&format!("{UPGRADE}{KEY}content-length: {}\r\n", SMUGGLED.len()));
    let wants = Wants { without: vec!["smuggled"], ..Wants::served(426) };
    let cases = [
        Case { row: "S16", sends: format!("{whole}{SMUGGLED}").into_bytes(), wants },
        refused("S16", format!("{with_body}{SMUGGLED}")),
    ];
    Border::before(app, "").await.check(cases).await;
}

/// No tunnel without a handshake of both sides, even to an app that says 101 to everything.
#[tokio::test]
async fn a_tunnel_takes_a_handshake() {
    let app = Scripted::start(|_, mut stream, seen| async move {
        if seen.read(&mut stream).await {
            let _ =
                stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n").await;
            let _ = stream.read(&mut [0; 64]).await;
        }
    });
    let mut border = Border::before(app, "").await;
    let version = |version: &str| format!("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: {version}\r\n");
    let garbage = |row, sends: String| Case { row, sends: sends.into_bytes(), wants: Wants::failed(502, "instance-garbage") };
    let cases = [
        refused("S17", handshake(&format!("{UPGRADE}sec-websocket-version: 13\r\n"))),
        refused("S17", handshake(&format!("{UPGRADE}sec-websocket-key: short\r\nsec-websocket-version: 13\r\n"))),
        garbage("S17", handshake(&format!("{UPGRADE}{}", version("7777")))),
        garbage("S17", handshake(&format!("upgrade: websocket\r\nconnection: close\r\n{KEY}"))),
        garbage("S17", handshake(&format!("{UPGRADE}{KEY}")).replace("GET", "POST")),
        garbage("S17", handshake(&format!("{UPGRADE}{KEY}")).replace("HTTP/1.1", "HTTP/1.0")),
        garbage("S19", format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n")),
    ];
    border.check(cases).await;
    let mut client = TcpStream::connect(border.edge.http).await.unwrap();
    client.write_all(handshake(&format!("{UPGRADE}{KEY}")).as_bytes()).await.unwrap();
    assert!(read_message(&mut client).await.unwrap().starts_with("HTTP/1.1 101 "));
    assert!(is_silent(&mut client).await, "and with one of both sides there is");
}

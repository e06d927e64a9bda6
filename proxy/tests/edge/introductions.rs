//! PROXY headers: who a client is, told by a balancer that the settings name, and by nobody else
//! (row L11 of `proxy/BAD-INPUT.md`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::rig::{App, Edge, HOST, SOON, parse};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x13\xc0\x00\x02\x08\xc6\x33\x64\x01\xdc\x04\x01\xbb\xea\0\x04\x01vpc";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

/// An edge behind a balancer at 127.0.0.2, and an app.
async fn behind_a_balancer() -> (Edge, App) {
    let listen = "listen: {http: [\"127.0.0.1:0\"], proxy_protocol: {from: [\"127.0.0.2/32\"]}}";
    let (edge, app) = (Edge::start_as(listen, "").await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    (edge, app)
}

async fn connect(edge: &Edge, from: [u8; 4]) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(edge.http).await
}

const BALANCER: [u8; 4] = [127, 0, 0, 2];

fn request(id: &str) -> Vec<u8> {
    format!("GET /api/instance HTTP/1.1\r\nhost: {HOST}\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n").into_bytes()
}

/// Everything that comes until the connection ends, however it ends.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let read = async { while matches!(stream.read_buf(&mut received).await, Ok(read) if read > 0) {} };
    tokio::time::timeout(SOON, read).await.expect("the connection ends");
    received
}

/// Sends bytes as the balancer would, and a request after them; the answer.
async fn say(edge: &Edge, from: [u8; 4], header: &[u8], id: &str) -> Vec<u8> {
    // Whoever is refused may be reset before the connection is known to be there, or before all is sent.
    let Ok(mut stream) = connect(edge, from).await else { return Vec::new() };
    let _ = stream.write_all(&[header, &request(id)].concat()).await;
    rest(&mut stream).await
}

/// Sends a request as it should be; nothing that came before it was one.
async fn only_one_is_served(edge: &Edge) {
    assert_eq!(parse(&say(edge, BALANCER, V1, "last").await).expect("an answer").status, 200);
    edge.lines_of("last", 1).await;
    assert_eq!(edge.log().len(), 1, "{:?}", edge.log());
}

#[tokio::test]
async fn the_client_is_whom_the_balancer_names() {
    let (edge, _app) = behind_a_balancer().await;
    for (header, id, client) in [(V1, "v1", "192.0.2.7"), (V2, "v2", "192.0.2.8"), (LOCAL, "local", "127.0.0.2")] {
        let answer = parse(&say(&edge, BALANCER, header, id).await).expect("an answer");
        assert_eq!(answer.status, 200, "{id}");
        assert_eq!(edge.lines_of(id, 1).await[0]["client"].as_str().unwrap().parse(), client.parse::<IpAddr>(), "{id}");
    }
}

#[tokio::test]
async fn a_header_in_many_pieces_takes_nothing_from_the_request_behind_it() {
    let (edge, _app) = behind_a_balancer().await;
    for (header, id) in [(V1, "pieces-1"), (V2, "pieces-2")] {
        let mut stream = connect(&edge, BALANCER).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let bytes = [header, &request(id)].concat();
        for piece in bytes.chunks(7) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(parse(&rest(&mut stream).await).expect("an answer").status, 200, "{id}");
    }
}

#[tokio::test]
async fn whoever_is_not_the_balancer_is_not_believed_and_not_answered() {
    let (edge, _app) = behind_a_balancer().await;
    for header in [V1, V2, LOCAL, b""] {
        assert_eq!(say(&edge, [127, 0, 0, 3], header, "spoofed").await, b"");
    }
    only_one_is_served(&edge).await;
}

#[tokio::test]
async fn a_header_that_is_wrong_ends_the_connection_without_a_byte() {
    let (edge, _app) = behind_a_balancer().await;
    let over: Vec<u8> = [&V2[..14], &[0x02, 0x09], &[0; 521]].concat();
    let wrong: [(&str, &[u8]); 5] = [
        ("absent", b""),
        ("oversized", &over),
        ("a line that never ends", &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 600]].concat()),
        ("UNIX", &[&V2[..13], b"\x31", &V2[14..]].concat()),
        ("leading zero", b"PROXY TCP4 192.0.2.7 198.51.100.1 056324 443\r\n"),
    ];
    for (what, header) in wrong {
        assert_eq!(say(&edge, BALANCER, header, "wrong").await, b"", "{what}");
    }
    for (what, header) in [("truncated line", &V1[..20]), ("truncated", &V2[..20]), ("nothing", b"")] {
        let mut stream = connect(&edge, BALANCER).await.unwrap();
        stream.write_all(header).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(rest(&mut stream).await, b"", "{what}");
    }
    only_one_is_served(&edge).await;
}

#[tokio::test]
async fn a_header_that_is_late_is_not_waited_for() {
    let (edge, _app) = behind_a_balancer().await;
    let start = Instant::now();
    let mut stream = connect(&edge, BALANCER).await.unwrap();
    let (mut read, mut write) = stream.split();
    let drip = async {
        for byte in V1.iter().cycle() {
            tokio::time::sleep(Duration::from_millis(150)).await;
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    };
    let mut received = Vec::new();
    tokio::select! {
        () = drip => {}
        _ = read.read_to_end(&mut received) => {}
        () = tokio::time::sleep(SOON) => panic!("the connection was not ended"),
    }
    assert_eq!(received, b"");
    assert!(start.elapsed() >= Duration::from_secs(2), "it had {:?}, not its two seconds", start.elapsed());
}

#[tokio::test]
async fn a_second_header_and_one_that_nobody_expects_are_bad_requests() {
    let (edge, _app) = behind_a_balancer().await;
    for doubled in [[V1, V1], [V2, V1], [V2, V2]] {
        assert_eq!(parse(&say(&edge, BALANCER, &doubled.concat(), "doubled").await).expect("an answer").status, 400);
    }
    let (plain, app) = (Edge::start().await, App::start("a"));
    plain.put_todos(&[("a", app.address)]).await;
    for header in [V1, V2] {
        assert_eq!(parse(&say(&plain, [127, 0, 0, 1], header, "unasked").await).expect("an answer").status, 400);
    }
}

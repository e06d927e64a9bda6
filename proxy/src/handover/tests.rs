//! Whether a process that takes over can tell its own answer from silence and from another's.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::settings::ProxyProtocol;

/// A listener whose connections get this answer, with the request's own id where it says ID.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1_024];
        let read = stream.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        let id = request.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        stream.write_all(answer.replace("ID", id).as_bytes()).await.unwrap();
    });
    address
}

#[tokio::test]
async fn only_its_own_answer_is_an_answer() {
    let own = answering("HTTP/1.1 404 Not Found\r\nX-Request-Id: ID\r\n\r\n").await;
    ask_oneself(&own, false, None).await.unwrap();
    for answer in ["", "garbage", "HTTP/1.1 200 OK\r\nx-request-id: of-somebody-else\r\n\r\n"] {
        let address = answering(answer).await;
        let why = ask_oneself(&address, false, None).await.unwrap_err().to_string();
        assert!(why.contains("wanted an answer of its own"), "{answer:?}: {why}");
    }
    let nobody = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string() };
    assert!(ask_oneself(&nobody, false, None).await.is_err(), "nobody listens there");
}

#[tokio::test]
async fn where_only_balancers_are_heard_the_door_that_is_shown_is_the_answer() {
    let balancers = ProxyProtocol { from: vec!["192.0.2.0/24".parse().unwrap()] };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { drop(listener.accept().await) });
    ask_oneself(&address, false, Some(&balancers)).await.unwrap();
}

#[tokio::test]
async fn over_https_a_record_of_tls_is_an_answer() {
    for (answer, is_one) in
        [(&b"\x16\x03\x03\0\x7a"[..], true), (b"\x15\x03\x01\0\x02", true), (b"HTTP/1.1 400", false), (b"", false)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut record = [0; 5];
            stream.read_exact(&mut record).await.unwrap();
            assert_eq!(record[..2], [0x16, 3], "a hello is a handshake");
            let mut hello = vec![0; usize::from(u16::from_be_bytes([record[3], record[4]]))];
            stream.read_exact(&mut hello).await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        assert_eq!(ask_oneself(&address, true, None).await.is_ok(), is_one, "{answer:?}");
    }
}

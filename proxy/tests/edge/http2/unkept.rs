//! HTTP/2 connections that are not kept, where those of HTTP/1.1 would not be: they are told to go.

use std::time::Duration;

use tokio::net::TcpStream;

use super::Served;
use super::frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, Raw, request};
use crate::rig::instances_json;

const NO_ERROR: u32 = 0;
/// Far before a handshake or a head is late.
const SOON: Duration = Duration::from_secs(15);

/// Asks for something; whether it is answered well, and whether the client was told to go before that.
async fn ask(raw: &mut Raw, stream: u32) -> (bool, bool) {
    raw.send(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", "/", &[])).await;
    let mut told = false;
    loop {
        let frame = raw.outcome().await.expect("an answer");
        match frame.kind {
            HEADERS => return (frame.status() == 200, told),
            GOAWAY => told = frame.code() == NO_ERROR,
            _ => panic!("{frame:?}"),
        }
    }
}

#[tokio::test]
async fn who_is_over_an_apps_connections_is_told_to_go_on_http2_too() {
    let served = Served::start("").await;
    let instances = instances_json(&[("a", served.app.address)]);
    served.edge.put_app(&instances, r#","limits":{"connections":1}"#).await;
    let (mut first, mut second) = (served.open().await, served.open().await);
    assert_eq!(ask(&mut first, 1).await, (true, false));
    let (is_good, told) = ask(&mut second, 1).await;
    assert!(!is_good, "one is all");
    assert!(told || second.outcome().await.is_some_and(|frame| frame.kind == GOAWAY), "it is told to go");
    assert_eq!(ask(&mut first, 3).await, (true, false), "who is in stays in");
}

#[tokio::test]
async fn an_http2_connection_has_so_many_requests_and_does_not_outstay() {
    let served = Served::start("limits: {keepalive_requests: 2, keepalive_seconds: 1}").await;
    let mut raw = served.open().await;
    assert_eq!(ask(&mut raw, 1).await, (true, false));
    let (is_good, told) = ask(&mut raw, 3).await;
    assert!(is_good, "the last one is answered");
    assert!(told || raw.outcome().await.is_some_and(|frame| frame.kind == GOAWAY), "it is told to go");
    // The edge asks whether that was heard, and this client never says so.
    while raw.next().await.is_some() {}
}

#[tokio::test]
async fn who_has_more_than_a_fair_share_gives_on_http2_too() {
    let served = Served::start("limits: {connections: 40, tight_percent: 50, full_percent: 90}").await;
    let mut idle = Vec::new();
    for _ in 0..25 {
        let mut raw = served.open().await;
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/", &[])).await;
        idle.push(raw);
    }
    for raw in &mut idle {
        while raw.outcome().await.expect("a GOAWAY").kind != GOAWAY {}
    }
}

/// Row L03 of `proxy/BAD-INPUT.md`: connections that say nothing take every place.
#[tokio::test]
async fn silent_connections_make_room_on_https_too() {
    let served = Served::start("limits: {connections: 20, handshake_seconds: 60, head_seconds: 60}").await;
    let mut silent = Vec::new();
    for _ in 0..25 {
        silent.push(TcpStream::connect(served.edge.https).await.unwrap());
    }
    assert!(served.serves().await < SOON, "they made room");
    drop(silent);
    // Those shake hands before they say nothing.
    let mut shaken = Vec::new();
    for _ in 0..20 {
        shaken.push(served.open().await);
    }
    assert!(served.serves().await < SOON, "they made room");
}

//! Edges that are drained, alone or as a region: who is told, how clients move, and back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::dns_server::DnsServer;
use crate::herd::{Herd, Region};
use crate::rig::{App, Edge, HOST, until};

const HEALTH: &str = "GET /healthz/region HTTP/1.1\r\nhost: eu-west-1.edge.example.com\r\nconnection: close\r\n\r\n";

async fn drain(edge: &Edge, order: &str) {
    let answer = edge.admin("PUT", "/v1/drain", order).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// What load balancer, DNS and operator are told.
async fn told(edge: &Edge) -> (u16, u16, u16, bool) {
    let status = edge.admin("GET", "/v1/status", "").await.json();
    let (ready, region) = (edge.probe("/readyz").await.status, edge.probe("/healthz/region").await.status);
    (ready, region, edge.ask(HEALTH).await.status, status["draining"].as_bool().unwrap())
}

#[tokio::test]
async fn an_edge_alone_tells_its_load_balancer_and_a_region_tells_dns_too() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    assert_eq!(edge.ask(HEALTH).await.status, 503, "there is no app table yet");
    edge.put_todos(&[("a", app.address)]).await;
    assert_eq!(told(&edge).await, (200, 200, 200, false));
    drain(&edge, "{}").await;
    assert_eq!(told(&edge).await, (503, 200, 200, true));
    drain(&edge, r#"{"scope":"region","by":"ada","why":"the storm"}"#).await;
    assert_eq!(told(&edge).await, (503, 503, 503, true));
    let status = edge.admin("GET", "/v1/status", "").await.json();
    assert_eq!((&status["drain"]["scope"], &status["drain"]["after_seconds"]), (&"region".into(), &90.into()));
    assert_eq!(edge.get("/api/instance", "").await.status, 200, "whoever comes is served");
    assert_eq!(edge.admin("DELETE", "/v1/drain", "").await.status, 200);
    assert_eq!(told(&edge).await, (200, 200, 200, false));
}

#[tokio::test]
async fn an_order_with_mistakes_is_refused_with_all_of_them() {
    let edge = Edge::start().await;
    let refused = edge.admin("PUT", "/v1/drain", r#"{"scope":"world","sockets_per_second":0,"at":1}"#).await;
    assert_eq!((refused.status, refused.json()["reasons"].as_array().unwrap().len()), (422, 3));
    assert_eq!(edge.admin("GET", "/v1/status", "").await.json()["draining"], false);
}

#[tokio::test]
async fn the_health_of_a_region_takes_no_path_from_an_app() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    drain(&edge, r#"{"scope":"region"}"#).await;
    assert_ne!(edge.get("/healthz/region", "").await.status, 503, "the app answers for its own host");
    let post = HEALTH.replace("GET", "POST").replace("\r\n\r\n", "\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(edge.ask(&post).await.code(), "unknown-host");
    let asked = HEALTH.replace("\r\n\r\n", "\r\nx-request-id: checker-7\r\n\r\n");
    assert_eq!(edge.ask(&asked).await.header("x-request-id"), Some("checker-7"), "as on every answer");
}

#[tokio::test]
async fn an_order_stands_after_a_restart_and_an_upgrade() {
    let (mut edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    drain(&edge, r#"{"scope":"region"}"#).await;
    crate::rig::end(&mut edge.process);
    edge.restart().await;
    assert_eq!(told(&edge).await, (503, 503, 503, true));
    let mut previous = edge.upgrade().await;
    assert_eq!(told(&edge).await, (503, 503, 503, true));
    previous.wait().unwrap();
    edge.admin("DELETE", "/v1/drain", "").await;
    crate::rig::end(&mut edge.process);
    edge.restart().await;
    assert_eq!(told(&edge).await, (200, 200, 200, false));
}

#[tokio::test]
async fn connections_are_not_kept_for_the_next_request_while_an_edge_is_drained() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let ask = format!("GET /api/instance HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    drain(&edge, "{}").await;
    // Reads to the end of the connection: it comes with the answer.
    let start = Instant::now();
    let answer = edge.ask(&ask).await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(start.elapsed() < Duration::from_secs(30), "the connection was kept");
}

#[tokio::test]
async fn sockets_are_left_alone_at_first_then_closed_at_the_pace_and_stay_when_it_is_called_off() {
    const SOCKETS: usize = 40;
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(edge.socket_at("/websocket", &[]).await.unwrap());
    }
    // Before it is asked for: the edge counts from when it hears of it.
    let start = Instant::now();
    drain(&edge, r#"{"after_seconds":1,"sockets_per_second":20}"#).await;
    let mut ends = futures_util::stream::FuturesUnordered::new();
    for mut ws in sockets {
        ends.push(async move {
            while let Some(message) = ws.socket.next().await {
                if let Message::Close(frame) = message.unwrap() {
                    assert_eq!(frame.unwrap().code, CloseCode::Away);
                }
            }
            start.elapsed()
        });
    }
    let mut gone = Vec::new();
    while gone.len() < SOCKETS / 2 {
        gone.push(tokio::time::timeout(crate::rig::SOON, ends.next()).await.expect("they are closed").unwrap());
    }
    assert!(gone[0] >= Duration::from_secs(1), "{:?}", gone[0]);
    let took = gone[SOCKETS / 2 - 1] - gone[0];
    assert!(took >= Duration::from_millis(600), "{} were closed within {took:?}", SOCKETS / 2);
    edge.admin("DELETE", "/v1/drain", "").await;
    // Those that were on their way to their end when it was called off.
    while tokio::time::timeout(Duration::from_millis(500), ends.next()).await.is_ok() {}
    assert!(!ends.is_empty(), "all were closed, though it was called off half way");
    assert_eq!(edge.admin("GET", "/v1/status", "").await.json()["tunnels"], ends.len());
}

#[tokio::test]
async fn a_region_that_is_drained_loses_its_herd_to_the_others_through_dns_and_gets_it_back() {
    const CLIENTS: usize = 60;
    const PER_SECOND: usize = 20;
    let app = App::start("a");
    let regions = Arc::new(Region::start_three(&app).await);
    let dns = Arc::new(DnsServer::start("example.com").await);
    // As the checkers of a DNS service do: three answers in a row change their mind.
    let _checkers: Vec<_> = (0..3).map(|index| Region::check(Arc::clone(&regions), index, Arc::clone(&dns))).collect();
    until("all regions are in DNS", async || dns.addresses(HOST).await.len() == 3).await;
    let herd = Herd::start(CLIENTS, Arc::clone(&dns), regions[0].edge.http.port());
    until("the whole herd is in", async || Region::tunnels(&regions).await.iter().sum::<u64>() == CLIENTS as u64).await;
    let before = Region::tunnels(&regions).await;
    assert!(before.iter().all(|tunnels| *tunnels > 0), "they are spread: {before:?}");

    let order = format!(r#"{{"scope":"region","after_seconds":2,"sockets_per_second":{PER_SECOND}}}"#);
    for drained in [0, 1] {
        let herd_there = Region::tunnels(&regions).await[drained];
        let start = Instant::now();
        drain(&regions[drained].edge, &order).await;
        until("the region is empty and its herd is elsewhere", async || {
            let tunnels = Region::tunnels(&regions).await;
            tunnels[drained] == 0 && tunnels.iter().sum::<u64>() == CLIENTS as u64
        })
        .await;
        let least = 1.8 + herd_there as f64 / PER_SECOND as f64 * 0.6;
        assert!(start.elapsed().as_secs_f64() > least, "{herd_there} clients left within {:?}", start.elapsed());
        assert_eq!(dns.addresses(HOST).await.len(), 2);
        assert_eq!(herd.failed(), 0, "no client was turned away");
        regions[drained].edge.admin("DELETE", "/v1/drain", "").await;
        until("the region is back in DNS", async || dns.addresses(HOST).await.len() == 3).await;
    }
    let after = Region::tunnels(&regions).await;
    assert!(after[0] > 0, "the first region has clients again: {after:?}");
    herd.stop().await;
}

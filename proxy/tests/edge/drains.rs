//! Instances that are about to go: their sockets leave at the pace at which the others take them.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::rig::{App, Edge, HOST, Ws, until};

/// New sockets a second that an instance takes, in these tests.
const PER_SECOND: usize = 50;

fn document(generation: u64, instances: &str) -> String {
    format!(
        r#"{{"generation":{generation},"apps":{{
            "todos":{{"hosts":["{HOST}"],"instances":{{{instances}}},"warm_seconds":0,"limits":{{"sockets_per_second":{PER_SECOND}}}}},
            "beside":{{"hosts":["beside.example.com"],"instances":{{}}}}}}}}"#
    )
}

async fn put(edge: &Edge, instances: &str) {
    let generation = edge.generation().await + 1;
    assert_eq!(edge.admin("PUT", "/v1/apps", &document(generation, instances)).await.status, 200);
}

async fn sockets(edge: &Edge, count: usize) -> Vec<Ws> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(edge.socket_at("/websocket", &[]).await.unwrap());
    }
    sockets
}

/// Waits until every socket was closed as it should be; the times of their ends, in order.
pub async fn ends(sockets: Vec<Ws>, start: Instant) -> Vec<Duration> {
    let mut waiting = Vec::new();
    for mut ws in sockets {
        waiting.push(tokio::spawn(async move {
            // The client parses every frame: one that was cut would be an error here.
            while let Some(message) = ws.socket.next().await {
                match message.expect("whole frames up to the end") {
                    Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Away),
                    Message::Close(None) => panic!("the close frame says nothing"),
                    _ => {}
                }
            }
            start.elapsed()
        }));
    }
    let mut times = Vec::new();
    for end in waiting {
        times.push(tokio::time::timeout(Duration::from_secs(60), end).await.expect("it is closed").unwrap());
    }
    times.sort();
    times
}

#[tokio::test]
async fn a_draining_instance_is_emptied_at_the_pace_that_the_others_admit() {
    const SOCKETS: usize = 200;
    let (edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    put(&edge, &format!(r#""a":{{"address":"{}"}}"#, a.address)).await;
    let sockets = sockets(&edge, SOCKETS).await;
    let start = Instant::now();
    put(&edge, &format!(r#""a":{{"address":"{}","state":"draining"}},"b":{{"address":"{}"}}"#, a.address, b.address)).await;
    let times = ends(sockets, start).await;
    for second in times.windows(2 * PER_SECOND + 1) {
        let took = *second.last().unwrap() - second[0];
        assert!(took > Duration::from_secs(1), "{} sockets were closed within {took:?}", second.len());
    }
    let (least, most) = (SOCKETS as f64 / PER_SECOND as f64 * 0.7, 15.0);
    let took = times.last().unwrap().as_secs_f64();
    assert!((least..most).contains(&took), "all were closed after {took} s");
    until("the instance is drained", async || edge.instance("a").await["drained"] == true).await;
    assert_eq!(edge.get("/api/instance", "").await.json()["instance"], "b");
}

#[tokio::test]
async fn an_instance_that_left_the_document_is_drained_too_and_its_neighbours_are_not() {
    let (edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    let both = format!(r#""a":{{"address":"{}"}},"b":{{"address":"{}"}}"#, a.address, b.address);
    put(&edge, &both).await;
    let sockets = sockets(&edge, 20).await;
    assert_eq!(edge.instance("a").await["tunnels"], 10);
    put(&edge, &format!(r#""b":{{"address":"{}"}}"#, b.address)).await;
    until("the one that left is forgotten", async || edge.instance("a").await.is_null()).await;
    assert_eq!(edge.instance("b").await["tunnels"], 10);
    drop(sockets);
    until("all are gone", async || edge.admin("GET", "/v1/status", "").await.json()["tunnels"] == 0).await;
}

#[tokio::test]
async fn while_nobody_takes_them_sockets_stay_and_an_instance_can_be_taken_back() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    let ready = format!(r#""a":{{"address":"{}"}}"#, a.address);
    put(&edge, &ready).await;
    let sockets = sockets(&edge, 10).await;
    put(&edge, &format!(r#""a":{{"address":"{}","state":"draining"}}"#, a.address)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(edge.instance("a").await["tunnels"], 10, "there is nowhere to go");
    put(&edge, &ready).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(edge.instance("a").await["tunnels"], 10);
    drop(sockets);
}

#[tokio::test]
async fn an_instance_that_was_away_and_back_is_emptied_of_its_first_sockets_too() {
    let (edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    let ready = format!(r#""a":{{"address":"{}"}}"#, a.address);
    put(&edge, &ready).await;
    let mut sockets = sockets(&edge, 10).await;
    // Nobody takes them meanwhile, so they stay.
    put(&edge, "").await;
    put(&edge, &ready).await;
    sockets.push(edge.socket_at("/websocket", &[]).await.unwrap());
    assert_eq!(edge.instance("a").await["tunnels"], 11);
    put(&edge, &format!(r#""a":{{"address":"{}","state":"draining"}},"b":{{"address":"{}"}}"#, a.address, b.address)).await;
    ends(sockets, Instant::now()).await;
    until("the instance is drained", async || edge.instance("a").await["drained"] == true).await;
}

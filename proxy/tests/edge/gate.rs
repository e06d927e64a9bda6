//! The gate of new sockets: `/sockjs/info` answered at the edge, and herds let in at a pace.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use karman_faults::Scripted;
use tokio::io::AsyncWriteExt;

use crate::rig::{App, Edge, Ws, instances_json, until};

const INFO: &str = "/sockjs/info?cb=1";

/// An app that only knows SockJS's info, and says in `base_url` how often it was asked.
fn counting() -> Scripted {
    Scripted::start(|_, mut stream, heads| async move {
        while heads.read(&mut stream).await {
            let body = format!(
                r#"{{"websocket":true,"origins":["*:*"],"cookie_needed":false,"entropy":1,"base_url":"/{}"}}"#,
                heads.len()
            );
            let origin = heads
                .last()
                .lines()
                .find_map(|line| line.strip_prefix("origin: ").map(str::to_owned))
                .unwrap_or_else(|| "*".to_owned());
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\naccess-control-allow-origin: {origin}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
    })
}

#[tokio::test]
async fn the_edge_answers_info_as_the_apps_own_release_did() {
    let (edge, app) = (Edge::start().await, counting());
    let instances = |release: u32| format!(r#"{{"a":{{"address":"{}","release":{release}}}}}"#, app.address);
    edge.put_app(&instances(7), "").await;
    let first = edge.get(INFO, "").await;
    assert_eq!((first.json()["base_url"].as_str(), app.count()), (Some("/1"), 1), "the app's own");
    let mut entropies = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let again = edge.get(INFO, "").await;
        assert_eq!((again.status, again.json()["base_url"].as_str()), (200, Some("/1")));
        assert_eq!(again.header("access-control-allow-origin"), Some("*"));
        assert!(again.header("x-request-id").is_some() && again.cookie().is_some());
        entropies.insert(again.json()["entropy"].as_u64().unwrap());
    }
    assert_eq!((entropies.len(), app.count()), (5, 1), "fresh entropy, and the app was not asked");
    let page = "origin: https://a.example\r\n";
    assert_eq!(edge.get(INFO, page).await.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(edge.get(INFO, page).await.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(app.count(), 2, "who may connect from where is the app's to say, once for each origin");
    edge.put_app(&instances(8), "").await;
    assert_eq!(edge.get(INFO, "").await.json()["base_url"], "/3", "another release is asked");
    edge.put_app(&instances(8), r#","sockjs":{"info":"app"}"#).await;
    for n in 4..7 {
        assert_eq!(edge.get(INFO, "").await.json()["base_url"], format!("/{n}"), "the app answers itself if it wants to");
    }
}

/// Sends a herd of raw sockets, and says when each of those was open that were let in, and how many were refused. Within no
/// second were more let in than `per_second`.
async fn herd(edge: &Edge, size: usize, per_second: usize) -> (Vec<Duration>, usize, Vec<Ws>) {
    let start = Instant::now();
    let herd = (0..size).map(|_| async {
        let opened = edge.socket_at("/websocket", &[]).await;
        (start.elapsed(), opened)
    });
    let (mut times, mut refused, mut open) = (Vec::new(), 0, Vec::new());
    for (time, opened) in futures_util::future::join_all(herd).await {
        match opened {
            Ok(socket) => {
                times.push(time);
                open.push(socket);
            }
            Err(answer) => {
                assert_eq!((answer.status, answer.code()), (503, "queue-timeout"));
                assert!(answer.header("retry-after").is_some());
                refused += 1;
            }
        }
    }
    times.sort();
    // A busy machine may be late for a moment, and then several come at once; nobody comes before it.
    for (second, sockets) in times.chunks(per_second).enumerate() {
        let earliest = Duration::from_secs(second as u64);
        assert!(sockets[0] >= earliest, "{} were let in by {:?}", second * per_second + 1, sockets[0]);
    }
    (times, refused, open)
}

/// How many of a herd there was a moment for within the 8 s that each would wait, counted from when it came.
///
/// A window of 1.02 s has as many moments as the rate, evenly within its first 0.75 s (`admission.rs`). Seven windows end
/// 7.14 s after the first moment, and the last moment of the eighth is 0.75 s later at most: these are within 8 s of whoever
/// came first. The ninth begins at 8.16 s: its moments are for those who came as much later than the first one did.
async fn let_in_at_most(edge: &Edge, size: usize, per_second: usize) -> usize {
    until("all have their line in the log", async || edge.log().len() >= size).await;
    // Each line says when its request came, in whole milliseconds.
    let mut came: Vec<Timestamp> = edge.log().iter().map(|line| line["at"].as_str().unwrap().parse().unwrap()).collect();
    came.sort();
    let last = came[size - 1].duration_since(came[0]).as_secs_f64() + 0.001;
    let of_the_ninth = ((8.0 + last - 8.0 * 1.02) / 0.75 * per_second as f64 + 1.0).max(0.0);
    8 * per_second + per_second.min(of_the_ninth as usize)
}

#[tokio::test]
async fn a_herd_of_raw_sockets_is_let_in_at_the_apps_rate_and_nobody_is_accepted_and_closed() {
    const PER_SECOND: usize = 20;
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), &format!(r#","limits":{{"sockets_per_second":{PER_SECOND}}}"#)).await;
    let (times, refused, _open) = herd(&edge, 240, PER_SECOND).await;
    // 8 s at the rate; the others were told at once that it would take too long.
    let most = let_in_at_most(&edge, 240, PER_SECOND).await;
    assert!((150..=most).contains(&times.len()), "{} of {most} were let in, {refused} refused", times.len());
    assert_eq!(edge.admin("GET", "/v1/status", "").await.json()["tunnels"], times.len());
}

#[tokio::test]
async fn edges_that_serve_the_same_apps_share_what_an_instance_takes() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), r#","limits":{"sockets_per_second":30}"#).await;
    for wrong in [r#"{"serving":0}"#, r#"{"serving":1001}"#, r#"{"serving":2,"of":3}"#] {
        assert_eq!(edge.admin("PUT", "/v1/edges", wrong).await.status, 422, "{wrong}");
    }
    assert_eq!(edge.admin("GET", "/v1/status", "").await.json()["edges"]["serving"], 1);
    assert_eq!(edge.admin("PUT", "/v1/edges", r#"{"serving":3}"#).await.status, 200);
    let (times, refused, _open) = herd(&edge, 120, 10).await;
    // 8 s at a third of the rate.
    let most = let_in_at_most(&edge, 120, 10).await;
    assert!((75..=most).contains(&times.len()), "{} of {most} were let in, {refused} refused", times.len());
}

#[tokio::test]
async fn an_upgrade_within_sockjs_came_through_the_gate_already() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), r#","limits":{"sockets_per_second":1}"#).await;
    let start = Instant::now();
    for n in 0..10 {
        assert!(edge.socket_at(&format!("/sockjs/1/session{n}/websocket"), &[]).await.is_ok());
    }
    assert!(start.elapsed() < Duration::from_secs(4), "none waited: {:?}", start.elapsed());
}

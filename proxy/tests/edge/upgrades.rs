//! A second process takes over: what the edge tells, drains and changes holds for all its processes.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::Message;

use crate::drains::ends;
use crate::rig::{App, Edge, HOST, Load, Ws, end, instances_json, signal, spawn, until};

const CONNECT: &str = r#"{"msg":"connect","version":"1","support":["1"]}"#;
const NO_LIMIT: &str = r#","limits":{"sockets_per_second":0}"#;

async fn open(edge: &Edge, count: usize) -> Vec<Ws> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(edge.socket_at("/websocket", &[]).await.unwrap());
    }
    sockets
}

async fn answers(ws: &mut Ws) {
    ws.socket.send(Message::text(CONNECT)).await.unwrap();
    let answer = ws.socket.next().await.expect("it is open").unwrap();
    assert!(answer.to_text().unwrap().contains("connected"), "{answer}");
}

async fn status(edge: &Edge) -> Value {
    edge.admin("GET", "/v1/status", "").await.json()
}

/// What is told of tunnels, everywhere where it is told.
async fn told(edge: &Edge) -> Vec<Value> {
    let status = status(edge).await;
    let metrics = edge.probe("/metrics").await.text();
    let series = metrics.lines().find_map(|line| line.strip_prefix(r#"karman_sockets{app="todos"} "#));
    let metric = series.and_then(|number| number.parse::<f64>().ok()).map(|number| Value::from(number as u64));
    vec![status["tunnels"].clone(), edge.instance("a").await["tunnels"].clone(), metric.unwrap_or_default()]
}

#[tokio::test]
async fn an_upgrade_under_load_with_a_thousand_tunnels_open_closes_none_and_fails_no_request() {
    const SOCKETS: usize = 1_000;
    let (mut edge, app) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), NO_LIMIT).await;
    let mut sockets = open(&edge, SOCKETS).await;
    let load = Load::start(edge.http);
    until("there is load", async || load.served() > 50).await;
    let mut previous = edge.upgrade().await;
    let after = load.served();
    until("and still is", async || load.served() > after + 50).await;
    assert_eq!(load.failed(), 0, "of {}", load.served());
    load.stop().await;
    let status = status(&edge).await;
    assert_eq!(status["processes"].as_array().unwrap().len(), 2, "{status}");
    let (current, old) = (&status["processes"][0], &status["processes"][1]);
    assert_eq!((&current["role"], &current["tunnels"]), (&"current".into(), &0.into()), "{status}");
    assert_eq!((&old["role"], &old["tunnels"]), (&"previous".into(), &SOCKETS.into()), "{status}");
    assert!(old["pid"] == previous.id() && old["closes_at"].is_string(), "{status}");
    assert_eq!(told(&edge).await, [SOCKETS, SOCKETS, SOCKETS]);
    assert!(edge.probe("/metrics").await.text().contains("karman_processes{role=\"previous\"} 1"));
    for _ in 0..20 {
        assert_eq!(edge.probe("/readyz").await.status, 200, "the one that is ready answers");
    }
    for ws in &mut sockets {
        answers(ws).await;
    }
    let newer = open(&edge, 10).await;
    assert_eq!(told(&edge).await, [SOCKETS + 10; 3]);
    sockets.truncate(400);
    until("those that left are not counted", async || told(&edge).await == [410, 410, 410]).await;
    drop((sockets, newer));
    until("nor are the others", async || told(&edge).await[..2] == [0, 0]).await;
    until("the old process goes", async || previous.try_wait().unwrap().is_some_and(|status| status.success())).await;
    let processes = self::status(&edge).await["processes"].clone();
    assert_eq!(processes.as_array().unwrap().len(), 1, "{processes}");
    let metrics = edge.probe("/metrics").await.text();
    let closed = metrics.lines().find_map(|line| line.strip_prefix(r#"karman_sockets_closed_total{app="todos",by="client"} "#));
    assert_eq!(closed, Some("1010"), "those that the old process closed are counted by the new one");
    let opened = metrics.lines().find_map(|line| line.strip_prefix(r#"karman_sockets_opened_total{app="todos"} "#));
    assert_eq!(opened, Some("1010"), "the counter goes on where the old process was");
    let sockets = edge.instance("a").await["sockets"].clone();
    assert_eq!((&sockets["opened"], &sockets["closed"]), (&1_010.into(), &serde_json::json!({"client": 1_010})), "{sockets}");
    assert!(
        sockets["bytes_in"].as_u64().unwrap() >= 1_000 * CONNECT.len() as u64 && sockets["oldest_seconds"].is_null(),
        "{sockets}"
    );
}

#[tokio::test]
async fn an_instance_is_drained_in_all_processes_at_one_pace() {
    const EACH: usize = 60;
    const PER_SECOND: usize = 40;
    let (mut edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    let document =
        |state: &str| format!(r#"{{"a":{{"address":"{}","state":"{state}"}},"b":{{"address":"{}"}}}}"#, a.address, b.address);
    edge.put_app(&instances_json(&[("a", a.address)]), NO_LIMIT).await;
    let mut sockets = open(&edge, EACH).await;
    let mut previous = vec![edge.upgrade().await];
    sockets.extend(open(&edge, EACH).await);
    let limit = format!(r#","warm_seconds":0,"limits":{{"sockets_per_second":{PER_SECOND}}}"#);
    let start = Instant::now();
    edge.put_app(&document("draining"), &limit).await;
    let waiting = tokio::spawn(ends(sockets, start));
    until("it has begun in the current process", async || {
        edge.instance("a").await["tunnels"].as_u64().unwrap() < 2 * EACH as u64
    })
    .await;
    assert_eq!(edge.instance("a").await["drained"], false);
    // The drain goes on where it was, while a third process takes over.
    previous.push(edge.upgrade().await);
    assert_eq!(status(&edge).await["processes"].as_array().unwrap().len(), 3);
    let times = waiting.await.unwrap();
    for second in times.windows(2 * PER_SECOND + 1) {
        let took = *second.last().unwrap() - second[0];
        assert!(took > Duration::from_secs(1), "{} sockets were closed within {took:?}", second.len());
    }
    let (least, most) = ((2 * EACH) as f64 / PER_SECOND as f64 * 0.7, 20.0);
    let took = times.last().unwrap().as_secs_f64();
    assert!((least..most).contains(&took), "all were closed after {took} s");
    until("the instance is drained", async || edge.instance("a").await["drained"] == true).await;
    for process in &mut previous {
        until("it has nothing left to carry", async || process.try_wait().unwrap().is_some_and(|status| status.success())).await;
    }
    until("the current process tells of the end", async || {
        std::fs::read_to_string(edge.dir.path().join("edge.log")).unwrap().contains("instance-drained")
    })
    .await;
}

#[tokio::test]
async fn an_edge_that_is_left_closes_the_tunnels_of_all_its_processes_at_one_pace() {
    const PER_SECOND: usize = 20;
    let (mut edge, app) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), NO_LIMIT).await;
    let mut sockets = open(&edge, 30).await;
    let mut previous = edge.upgrade().await;
    sockets.extend(open(&edge, 30).await);
    let order = format!(r#"{{"after_seconds":0,"sockets_per_second":{PER_SECOND}}}"#);
    assert_eq!(edge.admin("PUT", "/v1/drain", &order).await.status, 200);
    let times = ends(sockets, Instant::now()).await;
    for second in times.windows(2 * PER_SECOND + 1) {
        let took = *second.last().unwrap() - second[0];
        assert!(took > Duration::from_secs(1), "{} sockets were closed within {took:?}", second.len());
    }
    until("the old process goes", async || previous.try_wait().unwrap().is_some_and(|status| status.success())).await;
}

#[tokio::test]
async fn tunnels_of_an_edge_that_is_left_go_one_after_the_other_in_each_of_its_processes() {
    const EACH: usize = 40;
    let (mut edge, app) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), NO_LIMIT).await;
    let old = open(&edge, EACH).await;
    let _previous = edge.upgrade().await;
    let new = open(&edge, EACH).await;
    let start = Instant::now();
    let (old, new) = (tokio::spawn(ends(old, start)), tokio::spawn(ends(new, start)));
    assert_eq!(edge.admin("PUT", "/v1/drain", r#"{"after_seconds":0,"sockets_per_second":100}"#).await.status, 200);
    for times in [old.await.unwrap(), new.await.unwrap()] {
        let mut gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort();
        // One every 9 ms; in crowds most would have none between them.
        assert!(gaps[EACH / 2] > Duration::from_millis(3), "{gaps:?}");
    }
}

#[tokio::test]
async fn changes_that_concern_old_tunnels_reach_the_process_that_carries_them() {
    let (mut edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    edge.put_app(&instances_json(&[("a", a.address)]), NO_LIMIT).await;
    let sockets = open(&edge, 10).await;
    let mut previous = edge.upgrade().await;
    // By deltas and whole, up to one that takes the instance out of the document.
    let generation = edge.generation().await;
    let app = format!(
        r#"{{"hosts":["{HOST}"],"instances":{},"limits":{{"sockets_per_second":0}}}}"#,
        instances_json(&[("a", a.address), ("b", b.address)])
    );
    let delta = format!(r#"{{"generation":{},"base":{generation},"put":{{"todos":{app}}},"remove":[]}}"#, generation + 1);
    assert_eq!(edge.admin("PATCH", "/v1/apps", &delta).await.status, 200);
    assert_eq!(edge.instance("a").await["tunnels"], 10);
    edge.put_app(&instances_json(&[("b", b.address)]), NO_LIMIT).await;
    ends(sockets, Instant::now()).await;
    until("the old process goes", async || previous.try_wait().unwrap().is_some_and(|status| status.success())).await;
}

#[tokio::test]
async fn the_oldest_of_more_than_three_processes_goes_and_the_others_stay() {
    let (mut edge, app) = (Edge::start_with("limits: {grace_seconds: 1}").await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), NO_LIMIT).await;
    let (mut sockets, mut previous) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        sockets.push(open(&edge, 5).await);
        previous.push(edge.upgrade().await);
    }
    let oldest = sockets.remove(0);
    ends(oldest, Instant::now()).await;
    until("the oldest is gone", async || previous[0].try_wait().unwrap().is_some_and(|status| status.success())).await;
    assert_eq!(told(&edge).await, [10, 10, 10]);
    for ws in sockets.iter_mut().flatten() {
        answers(ws).await;
    }
    // A stop ends the whole edge.
    let waiting: Vec<_> = sockets.into_iter().map(|sockets| tokio::spawn(ends(sockets, Instant::now()))).collect();
    signal(&edge.process, "TERM");
    for ends in waiting {
        ends.await.unwrap();
    }
    for process in previous.iter_mut().skip(1).chain([&mut edge.process]) {
        until("all processes end", async || process.try_wait().unwrap().is_some_and(|status| status.success())).await;
    }
}

#[tokio::test]
async fn tunnels_are_kept_for_their_time_and_then_closed() {
    let settings = "limits: {tunnel_drain_seconds: 2, grace_seconds: 1}";
    let (mut edge, app) = (Edge::start_with(settings).await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), NO_LIMIT).await;
    let mut sockets = open(&edge, 5).await;
    let start = Instant::now();
    let mut previous = edge.upgrade().await;
    for ws in &mut sockets {
        answers(ws).await;
    }
    let times = ends(sockets, start).await;
    assert!(times[0] >= Duration::from_secs(2), "the first was closed after {:?}", times[0]);
    until("the old process goes", async || previous.try_wait().unwrap().is_some_and(|status| status.success())).await;
}

#[tokio::test]
async fn a_proxy_that_was_killed_finds_the_previous_ones_when_it_is_started_again() {
    let (mut edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    edge.put_app(&instances_json(&[("a", a.address)]), NO_LIMIT).await;
    let sockets = open(&edge, 10).await;
    let mut previous = edge.upgrade().await;
    end(&mut edge.process);
    edge.restart().await;
    assert_eq!(status(&edge).await["processes"][1]["pid"], previous.id());
    assert_eq!(told(&edge).await, [10, 10, 10]);
    edge.put_app(&instances_json(&[("b", b.address)]), NO_LIMIT).await;
    ends(sockets, Instant::now()).await;
    until("the old process goes", async || previous.try_wait().unwrap().is_some_and(|status| status.success())).await;
}

#[tokio::test]
async fn a_process_that_took_the_listeners_and_does_not_serve_gives_them_back() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let mut ws = edge.socket_at("/websocket", &[]).await.unwrap();
    // As a next process does, up to where it finds that it cannot answer itself.
    let mut line = UnixStream::connect(edge.dir.path().join("admin.sock.handover")).await.unwrap();
    let list = line.read(&mut [0; 16 * 1024]).await.unwrap();
    assert!(list > 0, "the listeners were offered");
    line.write_all(b"take\n").await.unwrap();
    let mut yours = [0; 6];
    line.read_exact(&mut yours).await.unwrap();
    assert_eq!(&yours, b"yours\n");
    let mut waits = Box::pin(edge.get("/api/instance", ""));
    let answered = tokio::time::timeout(Duration::from_millis(300), &mut waits).await;
    assert!(answered.is_err(), "it accepts no more: the others are the next one's");
    drop(line);
    assert_eq!(waits.await.status, 200, "whoever waited is answered by the first one");
    assert_eq!(edge.get("/", "").await.status, 200);
    answers(&mut ws).await;
    assert_eq!(status(&edge).await["processes"].as_array().unwrap().len(), 1);
    edge.put_app(&instances_json(&[("a", app.address)]), r#","state":"stopped""#).await;
    assert_eq!(edge.get("/", "").await.code(), "app-stopped", "it takes changes again");
}

#[tokio::test]
async fn a_previous_process_that_says_nothing_at_first_may_hold_anything() {
    let (mut edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    let both =
        |state: &str| format!(r#"{{"a":{{"address":"{}","state":"{state}"}},"b":{{"address":"{}"}}}}"#, a.address, b.address);
    edge.put_app(&instances_json(&[("a", a.address)]), NO_LIMIT).await;
    let sockets = open(&edge, 10).await;
    let mut previous = edge.upgrade().await;
    signal(&previous, "STOP");
    end(&mut edge.process);
    edge.restart().await;
    edge.put_app(&both("draining"), NO_LIMIT).await;
    let unsure = edge.instance("a").await;
    assert_eq!((&unsure["tunnels"], &unsure["drained"]), (&0.into(), &false.into()), "what it holds is not known: {unsure}");
    assert_eq!(status(&edge).await["processes"][1]["pid"], previous.id());
    signal(&previous, "CONT");
    ends(sockets, Instant::now()).await;
    until("it is drained", async || edge.instance("a").await["drained"] == true).await;
    until("the old process goes", async || previous.try_wait().unwrap().is_some_and(|status| status.success())).await;
}

#[tokio::test]
async fn of_two_that_take_over_at_once_the_second_waits_for_the_first() {
    let (mut edge, app) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", app.address)]), NO_LIMIT).await;
    let mut ws = edge.socket_at("/websocket", &[]).await.unwrap();
    let load = Load::start(edge.http);
    until("there is load", async || load.served() > 50).await;
    let settings = edge.dir.path().join("edge.yaml");
    let mut next = [spawn(&settings, &["--upgrade"]), spawn(&settings, &["--upgrade"])];
    let pids = next.each_ref().map(std::process::Child::id);
    // The first of them carries nothing, and goes when the second has taken over.
    let mut gone = None;
    until("one took over from the other", async || {
        gone = next.iter_mut().position(|process| process.try_wait().unwrap().is_some());
        gone.is_some()
    })
    .await;
    let gone = gone.unwrap();
    assert!(next[gone].wait().unwrap().success(), "it had served, and ended well");
    let status = status(&edge).await;
    assert_eq!(status["processes"][0]["pid"], pids[1 - gone], "{status}");
    assert_eq!(status["processes"][1]["pid"], edge.process.id(), "the one that holds the socket: {status}");
    assert_eq!(load.failed(), 0, "of {}", load.served());
    load.stop().await;
    answers(&mut ws).await;
    drop(ws);
    let [first, second] = next;
    let current = if gone == 0 { second } else { first };
    let mut previous = std::mem::replace(&mut edge.process, current);
    until("the old process goes", async || previous.try_wait().unwrap().is_some_and(|status| status.success())).await;
}

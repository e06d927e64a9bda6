//! Instances that die under their sockets: the clients are kept, and let go at a pace to where there is somebody.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use karman_faults::Scripted;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{App, Edge, Ws, instances_json, until};

/// New sockets a second that an instance takes, in these tests.
const PER_SECOND: usize = 50;

fn limits(more: &str) -> String {
    format!(r#","limits":{{"sockets_per_second":{PER_SECOND}}}{more}"#)
}

/// When each socket ended, measured from `start`; in order.
fn ends(sockets: Vec<Ws>, start: Instant) -> tokio::task::JoinHandle<Vec<Duration>> {
    tokio::spawn(async move {
        let one = |mut ws: Ws| async move {
            while let Some(Ok(message)) = ws.socket.next().await {
                if let Message::Close(_) = message {
                    break;
                }
            }
            start.elapsed()
        };
        let mut times = futures_util::future::join_all(sockets.into_iter().map(one)).await;
        times.sort();
        times
    })
}

#[tokio::test]
async fn the_clients_of_a_dead_instance_are_let_go_at_the_rate_that_the_survivors_take() {
    let (edge, mut a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    edge.put_app(&instances_json(&[("a", a.address), ("b", b.address)]), &limits("")).await;
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let before = edge.instance("a").await["tunnels"].as_u64().unwrap();
        let socket = edge.socket_at("/websocket", &[]).await.unwrap();
        if edge.instance("a").await["tunnels"].as_u64().unwrap() > before { of_a.push(socket) } else { of_b.push(socket) }
    }
    assert_eq!((of_a.len(), of_b.len()), (100, 100));
    let start = Instant::now();
    let (ends_a, ends_b) = (ends(of_a, start), ends(of_b, start));
    a.kill();
    until("it is known to be dead", async || edge.instance("a").await["health"] == "quarantined").await;
    until("it holds no socket any more", async || edge.instance("a").await["tunnels"] == 0).await;
    let held = edge.probe("/metrics").await.text();
    assert!(
        held.contains(r#"karman_held{app="todos"}"#) && !held.contains(r#"karman_held{app="todos"} 0.0"#),
        "its clients are held: {held}"
    );
    let times = ends_a.await.unwrap();
    for second in times.windows(PER_SECOND * 5 / 4 + 1) {
        let took = *second.last().unwrap() - second[0];
        assert!(took > Duration::from_millis(950), "{} clients were let go within {took:?}", second.len());
    }
    assert!(times[99] < Duration::from_secs(5), "no later than the herd takes at the rate: {:?}", times[99]);
    assert!(!ends_b.is_finished(), "the survivor's own clients noticed nothing");
    assert_eq!(edge.instance("b").await["tunnels"], 100);
}

#[tokio::test]
async fn the_clients_of_an_only_instance_wait_until_it_is_back() {
    let (edge, mut a) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", a.address)]), &limits("")).await;
    let mut sockets = Vec::new();
    for n in 0..20 {
        let path = if n % 2 == 0 { "/websocket".to_owned() } else { format!("/sockjs/1/session{n}/websocket") };
        sockets.push(edge.socket_at(&path, &[]).await.unwrap());
    }
    let start = Instant::now();
    let ended = ends(sockets, start);
    a.kill();
    assert_eq!(edge.get("/", "").await.code(), "app-down");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!ended.is_finished());
    let back = start.elapsed();
    a.start_again();
    let times = ended.await.unwrap();
    assert!(times[0] > back, "nobody was sent away before: {:?}, back after {back:?}", times[0]);
    assert!(times[19] < back + Duration::from_secs(3), "{:?}, back after {back:?}", times[19]);
}

#[tokio::test]
async fn an_app_may_ask_that_its_sockets_are_closed_at_once() {
    for terms in [r#","on_crash":{"then":"close"}"#, r#","on_crash":{"hold_seconds":0}"#] {
        let (edge, mut a) = (Edge::start().await, App::start("a"));
        edge.put_app(&instances_json(&[("a", a.address)]), &limits(terms)).await;
        let socket = edge.socket_at("/websocket", &[]).await.unwrap();
        let ended = ends(vec![socket], Instant::now());
        a.kill();
        assert!(ended.await.unwrap()[0] < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn held_clients_are_let_go_at_the_deadline_all_the_same() {
    let (edge, mut a) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", a.address)]), &limits(r#","on_crash":{"hold_seconds":2}"#)).await;
    let socket = edge.socket_at("/websocket", &[]).await.unwrap();
    let id = socket.head.header("x-request-id").unwrap().to_owned();
    let ended = ends(vec![socket], Instant::now());
    a.kill();
    let time = ended.await.unwrap()[0];
    assert!(time > Duration::from_millis(1_900) && time < Duration::from_secs(5), "{time:?}");
    assert_eq!(edge.lines_of(&id, 2).await[1]["by"], "app");
}

#[tokio::test]
async fn an_app_that_lives_and_closes_a_socket_meant_it() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        heads.read(&mut stream).await;
        let accept =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: %\r\n\r\n";
        let key = heads
            .last()
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
            .unwrap()
            .1
            .to_owned();
        let accept = accept.replace('%', &tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes()));
        // A frame comes along with the 101; then the app hangs up without a word.
        let _ = stream.write_all(&[accept.as_bytes(), b"\x81\x05hello"].concat()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    });
    let edge = Edge::start().await;
    edge.put_todos(&[("a", app.address)]).await;
    let mut socket = edge.socket_at("/websocket", &[]).await.unwrap();
    assert_eq!(socket.socket.next().await.unwrap().unwrap(), Message::text("hello"));
    let start = Instant::now();
    while let Some(Ok(_)) = socket.socket.next().await {}
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

//! Memory that runs short: who takes much gives step by step, and the owner beside it notices nothing.

use futures_util::{SinkExt, StreamExt};
use karman_faults::{OK, Scripted, read_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{Answer, App, Edge, SOON, Ws, instances_json, until};

const MEGABYTE: u64 = 1_000_000;
/// From one level to the next, and from what an edge holds at rest to the first.
const STEP: u64 = 3 * MEGABYTE;
/// Heads that are long and do not end: more than it takes to fill all steps, and how long.
const HEADS_MAX: usize = 600;
const HEAD_BYTES: usize = 30_000;
const SOCKETS: u64 = 20;
/// A connection and a socket.
const LAMB_USES: u64 = 2;

/// An edge with two owners, whose levels are a step apart; each owner has an app for requests and one for sockets.
struct Pressed {
    edge: Edge,
    _app: Scripted,
    _sockets: App,
    marks: Vec<f64>,
    heads: Vec<TcpStream>,
}

impl Pressed {
    async fn start() -> Self {
        let app = Scripted::start(|_, mut stream, heads| async move {
            while heads.read(&mut stream).await {
                let _ = stream.write_all(OK).await;
            }
        });
        let sockets = App::start("s");
        let at_rest = {
            let edge = with_owners(Edge::start().await, &app, &sockets).await;
            get(&edge, "lamb").await;
            resident(&edge)
        };
        let all = at_rest + 4 * STEP;
        let percents: Vec<_> = (1..=3).map(|step| (at_rest + step * STEP) * 100 / all).collect();
        let [tight, full, spent] = percents[..] else { unreachable!() };
        let limits = format!(
            "limits: {{memory_bytes: {all}, tight_percent: {tight}, full_percent: {full}, spent_percent: {spent}, head_seconds: 60}}"
        );
        let edge = with_owners(Edge::start_with(&limits).await, &app, &sockets).await;
        let marks = percents.iter().map(|percent| *percent as f64 / 100.0).collect();
        Self { edge, _app: app, _sockets: sockets, marks, heads: Vec::new() }
    }

    /// Clients of the hog send heads that never end, until so many levels are reached.
    async fn press(&mut self, levels: usize) {
        while self.used().await < self.marks[levels - 1] {
            assert!(self.heads.len() < HEADS_MAX, "{HEADS_MAX} heads are {} of {:?}", self.used().await, self.marks);
            let mut client = TcpStream::connect(self.edge.http).await.unwrap();
            let head = format!("GET / HTTP/1.1\r\nhost: hog.example.com\r\nx: {}", "y".repeat(HEAD_BYTES));
            client.write_all(head.as_bytes()).await.unwrap();
            self.heads.push(client);
        }
        let used = self.used().await;
        assert!(
            self.marks.get(levels).is_none_or(|next| used < *next),
            "{used} is more than {levels} levels of {:?}",
            self.marks
        );
    }

    async fn used(&self) -> f64 {
        let metrics = self.edge.probe("/metrics").await.text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("karman_limit_used_ratio{limit=\"memory\"} "));
        line.expect("the ratio is told").parse().unwrap()
    }

    /// Open sockets of an owner.
    async fn sockets(&self, owner: &str) -> u64 {
        let app = self.edge.admin("GET", &format!("/v1/apps/{owner}-sockets"), "").await.json();
        app["live"]["sockets"].as_u64().unwrap()
    }

    async fn closed_by_limit(&self, owner: &str) -> u64 {
        let metrics = self.edge.probe("/metrics").await.text();
        let series = format!("karman_sockets_closed_total{{app=\"{owner}-sockets\",by=\"limit\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse::<f64>().unwrap() as u64)
    }

    async fn socket(&self, owner: &str) -> Result<Ws, Answer> {
        self.edge.socket_at("/websocket", &[("host", &format!("{owner}-sockets.example.com"))]).await
    }
}

async fn with_owners(edge: Edge, app: &Scripted, sockets: &App) -> Edge {
    let of = |owner: &str, part: &str, address| {
        let instances = instances_json(&[("a", address)]);
        format!(r#""{owner}{part}":{{"owner":"{owner}","hosts":["{owner}{part}.example.com"],"instances":{instances}}}"#)
    };
    let apps =
        ["hog", "lamb"].map(|owner| [of(owner, "", app.address), of(owner, "-sockets", sockets.address)].join(",")).join(",");
    assert_eq!(edge.admin("PUT", "/v1/apps", &format!(r#"{{"generation":1,"apps":{{{apps}}}}}"#)).await.status, 200);
    edge
}

fn resident(edge: &Edge) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", edge.process.id())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

async fn get(edge: &Edge, owner: &str) -> Answer {
    edge.ask(&format!("GET / HTTP/1.1\r\nhost: {owner}.example.com\r\nconnection: close\r\n\r\n")).await
}

/// A client that keeps its connection.
struct Kept(TcpStream);

impl Kept {
    async fn open(edge: &Edge, owner: &str) -> Self {
        let mut kept = Self(TcpStream::connect(edge.http).await.unwrap());
        kept.ask(owner).await;
        kept
    }

    /// Is served, and may ask again.
    async fn ask(&mut self, owner: &str) {
        self.0.write_all(format!("GET / HTTP/1.1\r\nhost: {owner}.example.com\r\n\r\n").as_bytes()).await.unwrap();
        let answer = read_message(&mut self.0).await.expect("a kept connection is answered");
        assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }

    async fn ends(mut self) -> bool {
        matches!(timeout(SOON, self.0.read(&mut [0])).await, Ok(Ok(0)))
    }
}

#[tokio::test]
async fn who_takes_most_gives_step_by_step_and_the_owner_beside_it_nothing() {
    let mut pressed = Pressed::start().await;
    let (mut lamb, mut lambs_socket) = (Kept::open(&pressed.edge, "lamb").await, pressed.socket("lamb").await.expect("a socket"));
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(pressed.socket("hog").await.expect("a socket"));
    }
    let idle = Kept::open(&pressed.edge, "hog").await;

    // Tight: its idle connections go, and it keeps none; it is served.
    pressed.press(1).await;
    assert!(idle.ends().await, "idle connections of who has too much are closed");
    let answer = get(&pressed.edge, "hog").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    lamb.ask("lamb").await;

    // Full: its requests are refused, new sockets too; open ones stay.
    pressed.press(2).await;
    until("requests of who has too much are refused", async || get(&pressed.edge, "hog").await.code() == "overloaded").await;
    let Err(refused) = pressed.socket("hog").await else { panic!("a new socket") };
    assert_eq!((refused.status, refused.code()), (503, "overloaded"));
    lamb.ask("lamb").await;
    assert_eq!(get(&pressed.edge, "lamb").await.status, 200);
    assert_eq!(pressed.sockets("hog").await, SOCKETS);

    // Spent: its idle sockets are closed, as the protocol wants it, until it has as little as the lamb.
    pressed.press(3).await;
    let told = tokio::spawn(sockets.into_iter().map(is_told_to_leave).collect::<JoinSet<_>>().join_all());
    until("idle sockets of who has too much are closed", async || pressed.sockets("hog").await <= LAMB_USES + 1).await;
    lamb.ask("lamb").await;
    let left = pressed.sockets("hog").await;
    assert!(left >= LAMB_USES, "it keeps what the lamb has");
    assert_eq!(pressed.closed_by_limit("hog").await, SOCKETS - left);
    lamb.ask("lamb").await;
    assert_eq!(get(&pressed.edge, "lamb").await.status, 200);
    lambs_socket.socket.send(Message::Ping(vec![7].into())).await.unwrap();
    let pong = timeout(SOON, lambs_socket.socket.next()).await.expect("a pong");
    assert!(matches!(pong, Some(Ok(Message::Pong(_) | Message::Text(_)))), "a socket that was idle as long: {pong:?}");

    // Calm again.
    pressed.heads.clear();
    until("who had too much is served again", async || get(&pressed.edge, "hog").await.status == 200).await;
    pressed.socket("hog").await.expect("and may open sockets");
    assert_eq!((pressed.sockets("lamb").await, pressed.closed_by_limit("lamb").await), (1, 0));
    // Its requests meanwhile may have cost it another one.
    let closed = pressed.closed_by_limit("hog").await;
    drop(pressed);
    let told = told.await.unwrap().into_iter().filter(|told| *told).count() as u64;
    assert_eq!(told, closed, "each that was closed heard why");
}

/// Whether the edge says, before the end, that it goes away.
async fn is_told_to_leave(mut socket: Ws) -> bool {
    while let Some(Ok(message)) = socket.socket.next().await {
        if let Message::Close(Some(frame)) = message {
            return u16::from(frame.code) == 1001;
        }
    }
    false
}

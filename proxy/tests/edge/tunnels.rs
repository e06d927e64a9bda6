//! What tunnels do with peers that are slow, rude, half gone or no WebSockets at all.

use std::time::Duration;

use karman_faults::Scripted;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::authority::Authority;
use crate::rig::{Edge, HOST, instances_json, until};

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n";
/// Bytes that are no frame of any WebSocket, and some that look like the longest one.
const GARBAGE: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0GET / HTTP/1.1\r\n\r\n\x88\x82\x13\x37";
/// Clients that are held when their instance dies would hide what a reset does.
const CLOSE: &str = r#","on_crash":{"then":"close"}"#;

/// An edge, and an app whose side of each tunnel is handed to the test.
struct Rig {
    edge: Edge,
    apps: mpsc::Receiver<TcpStream>,
    _app: Scripted,
}

impl Rig {
    /// `early` comes with the app's 101, in one packet.
    async fn start(early: &'static [u8]) -> Self {
        let (sender, apps) = mpsc::channel(8);
        let app = Scripted::start(move |_, mut stream, heads| {
            let sender = sender.clone();
            async move {
                if heads.read(&mut stream).await {
                    stream.write_all(&[SWITCHING.as_bytes(), early].concat()).await.unwrap();
                    let _ = sender.send(stream).await;
                }
            }
        });
        let edge = Edge::start().await;
        edge.put_app(&instances_json(&[("a", app.address)]), CLOSE).await;
        Self { edge, apps, _app: app }
    }

    /// Opens a tunnel: the client's side and the app's. `early` comes with the client's handshake.
    async fn open(&mut self, early: &[u8]) -> (TcpStream, TcpStream) {
        let mut client = TcpStream::connect(self.edge.http).await.unwrap();
        client.write_all(&[handshake().as_bytes(), early].concat()).await.unwrap();
        read_head(&mut client).await;
        (client, self.apps.recv().await.unwrap())
    }

    /// Waits until the tunnel is over, and says who ended it.
    async fn closed_by(&self) -> String {
        let mut by = None;
        until("the log has the end of the tunnel", async || {
            by = self.edge.log().iter().find_map(|line| Some(line["by"].as_str()?.to_owned()));
            by.is_some()
        })
        .await;
        assert_eq!(self.edge.instance("a").await["tunnels"], 0);
        by.unwrap()
    }
}

fn handshake() -> String {
    format!(
        "GET /websocket HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Reads the head of a 101, and no byte more.
async fn read_head(client: &mut (impl AsyncRead + Unpin)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
}

async fn live_sockets(edge: &Edge) -> u64 {
    edge.admin("GET", "/v1/apps/todos", "").await.json()["live"]["sockets"].as_u64().unwrap()
}

async fn expect(socket: &mut TcpStream, wanted: &[u8]) {
    let mut found = vec![0; wanted.len()];
    socket.read_exact(&mut found).await.unwrap();
    assert!(found == wanted, "found {} other bytes", found.len());
}

fn reset(socket: TcpStream) {
    socket.set_zero_linger().unwrap();
}

#[tokio::test]
async fn bytes_that_come_with_the_handshake_are_the_tunnels_first() {
    let mut rig = Rig::start(b"\x81\x05first").await;
    let (mut client, mut app) = rig.open(b"\x81\x82\0\0\0\0hi").await;
    expect(&mut client, b"\x81\x05first").await;
    expect(&mut app, b"\x81\x82\0\0\0\0hi").await;
    app.write_all(b"\x81\x04then").await.unwrap();
    expect(&mut client, b"\x81\x04then").await;
}

#[tokio::test]
async fn garbage_passes_as_it_is_and_harms_nobody() {
    let mut rig = Rig::start(GARBAGE).await;
    let (mut client, mut app) = rig.open(GARBAGE).await;
    for _ in 0..3 {
        expect(&mut client, GARBAGE).await;
        expect(&mut app, GARBAGE).await;
        client.write_all(GARBAGE).await.unwrap();
        app.write_all(GARBAGE).await.unwrap();
    }
    // What is left is read, so that the end is a FIN and no reset.
    expect(&mut app, GARBAGE).await;
    expect(&mut client, GARBAGE).await;
    drop((client, app));
    rig.closed_by().await;
}

#[tokio::test]
async fn a_half_close_leaves_the_other_direction_open() {
    for client_first in [true, false] {
        let mut rig = Rig::start(b"").await;
        let (client, app) = rig.open(b"").await;
        let (mut first, mut second) = if client_first { (client, app) } else { (app, client) };
        first.write_all(b"the last that I say").await.unwrap();
        first.shutdown().await.unwrap();
        let mut heard = Vec::new();
        second.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"the last that I say");
        second.write_all(b"and I answer").await.unwrap();
        expect(&mut first, b"and I answer").await;
        drop((first, second));
        assert_eq!(rig.closed_by().await, if client_first { "client" } else { "app" });
    }
}

#[tokio::test]
async fn a_reset_on_one_side_ends_the_other_and_is_named() {
    for client_resets in [true, false] {
        let mut rig = Rig::start(b"").await;
        let (client, app) = rig.open(b"").await;
        let (first, mut second) = if client_resets { (client, app) } else { (app, client) };
        reset(first);
        let ended = second.read(&mut [0; 1]).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        drop(second);
        assert_eq!(rig.closed_by().await, if client_resets { "client" } else { "app" });
    }
}

#[tokio::test]
async fn a_slow_reader_holds_the_writer_back_and_loses_nothing() {
    // One frame, larger than every buffer on the way.
    const LENGTH: usize = 48 * 1024 * 1024;
    let mut rig = Rig::start(b"").await;
    let (mut client, mut app) = rig.open(b"").await;
    let before = memory(&rig.edge);
    let writing = tokio::spawn(async move {
        app.write_all(&[&[0x82, 127][..], &(LENGTH as u64).to_be_bytes()].concat()).await.unwrap();
        let chunk: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
        let mut sent = 0;
        let mut stalled = false;
        while sent < LENGTH {
            let written = tokio::time::timeout(Duration::from_millis(500), app.write(&chunk[sent % chunk.len()..])).await;
            match written {
                Ok(written) => sent += written.unwrap(),
                Err(_) => stalled = true,
            }
        }
        (stalled, app)
    });
    // Nothing is read until the writer stands still, which is when nothing comes into the edge any more.
    let mut last = 0;
    until("the writer is held back", async || {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let metrics = rig.edge.probe("/metrics").await.text();
        let moved = metrics
            .lines()
            .find_map(|line| line.strip_prefix(r#"karman_bytes_total{app="todos",direction="out"} "#)?.parse().ok());
        std::mem::replace(&mut last, moved.unwrap_or(0_usize)) == last && last > 0
    })
    .await;
    assert!(last < LENGTH, "the edge took it all");
    let grown = memory(&rig.edge).saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "the edge holds {grown} bytes for one slow reader");
    expect(&mut client, &[&[0x82, 127][..], &(LENGTH as u64).to_be_bytes()].concat()).await;
    let mut received = vec![0; LENGTH];
    client.read_exact(&mut received).await.unwrap();
    let torn = received.iter().zip((0..=255_u8).cycle()).position(|(found, wanted)| *found != wanted);
    assert_eq!(torn, None, "the place of the first byte that is not what was sent");
    let (stalled, app) = writing.await.unwrap();
    assert!(stalled, "the writer never had to wait");
    drop((client, app));
    rig.closed_by().await;
}

/// What the proxy has in memory, in bytes.
fn memory(edge: &Edge) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", edge.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// In TLS there is something to be said at the end, and nobody takes it.
#[tokio::test]
async fn a_client_that_ends_its_side_in_tls_and_reads_no_more_is_reset() {
    let mut rig = Rig::start(b"").await;
    let authority = Authority::new();
    assert_eq!(rig.edge.put_certificates(&[("c", authority.issue(&[HOST]))]).await.status, 200);
    let mut client = authority.client(&["http/1.1"]).connect(rig.edge.https, HOST).await.unwrap();
    client.write_all(handshake().as_bytes()).await.unwrap();
    read_head(&mut client).await;
    let mut app = rig.apps.recv().await.unwrap();
    let talking = tokio::spawn(async move { while app.write_all(&[0; 65_536]).await.is_ok() {} });
    client.shutdown().await.unwrap();
    // It has its time for that: as long as a side may be silent after the other has ended, and to be reset after that.
    let ended = tokio::time::timeout(Duration::from_secs(40), async {
        while rig.edge.instance("a").await["tunnels"] != 0 || live_sockets(&rig.edge).await != 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    ended.await.expect("the tunnel is out of the books");
    talking.abort();
}

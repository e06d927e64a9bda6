//! Tunnels over real sockets.

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::socket::Tcp;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    (far, near)
}

struct Rig {
    client: TcpStream,
    app: TcpStream,
    tunnel: Arc<Tunnel>,
    task: tokio::task::JoinHandle<Closed>,
}

async fn rig(early_from_client: &[u8], early_from_app: &[u8]) -> Rig {
    let (client, client_side) = pair().await;
    let (app, app_side) = pair().await;
    let vitals = Arc::new(InstanceVitals::new("app".parse().unwrap(), "app-1".parse().unwrap(), ([127, 0, 0, 1], 1).into()));
    let tunnel =
        Arc::new(Tunnel::new(Arc::default(), vitals, Terms { idle_limit: Duration::from_secs(60), hold: Duration::ZERO }));
    let (from_client, from_app) = (early_from_client.to_vec(), early_from_app.to_vec());
    let carried = Arc::clone(&tunnel);
    let task = tokio::spawn(async move {
        let client = Side { socket: Socket::Plain(Tcp::Watched(client_side)), early: from_client };
        carried.carry(client, Side { socket: Socket::Plain(Tcp::Watched(app_side)), early: from_app }).await.0
    });
    Rig { client, app, tunnel, task }
}

async fn expect(socket: &mut TcpStream, wanted: &[u8]) {
    let mut found = vec![0; wanted.len()];
    socket.read_exact(&mut found).await.unwrap();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn bytes_go_both_ways_and_early_ones_go_first() {
    let mut rig = rig(b"early-in ", b"early-out ").await;
    rig.client.write_all(b"hello").await.unwrap();
    expect(&mut rig.app, b"early-in hello").await;
    rig.app.write_all(b"world").await.unwrap();
    expect(&mut rig.client, b"early-out world").await;
    drop(rig.client);
    drop(rig.app);
    let closed = rig.task.await.unwrap();
    assert_eq!((closed.bytes_in, closed.bytes_out), (14, 15));
}

#[tokio::test]
async fn a_half_close_is_passed_on_and_the_other_direction_lives() {
    let mut rig = rig(b"", b"").await;
    rig.client.write_all(b"last words").await.unwrap();
    rig.client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    rig.app.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"last words");
    rig.app.write_all(b"answer").await.unwrap();
    expect(&mut rig.client, b"answer").await;
    drop(rig.app);
    assert_eq!(rig.task.await.unwrap().by, ClosedBy::Client, "the one who ended first");
}

#[tokio::test]
async fn a_slow_reader_holds_the_writer_back() {
    let mut rig = rig(b"", b"").await;
    let chunk = vec![7; 64 * 1024];
    let mut sent = 0;
    // Nobody reads at the client: what fits into the sockets and one chunk goes, and no more.
    while let Ok(written) = timeout(Duration::from_millis(300), rig.app.write(&chunk)).await {
        sent += written.unwrap();
        assert!(sent < 64 * 1024 * 1024, "the tunnel takes bytes without end");
    }
    let mut received = 0;
    let mut buffer = vec![0; 64 * 1024];
    while received < sent {
        received += rig.client.read(&mut buffer).await.unwrap();
    }
    assert_eq!(received, sent, "and nothing is lost");
}

#[tokio::test]
async fn a_tunnel_that_is_told_to_close_takes_leave_of_both_sides() {
    let mut rig = rig(b"", b"").await;
    assert_eq!(rig.tunnel.is_over(clock::millis()), None);
    assert_eq!(rig.tunnel.is_over(clock::millis() + 60_000), Some(ClosedBy::Idle));
    rig.tunnel.close(ClosedBy::Idle, Duration::ZERO);
    rig.tunnel.close(ClosedBy::Drain, Duration::ZERO);
    expect(&mut rig.app, &GOING_AWAY_MASKED).await;
    // What the app still had to say arrives, then its own close frame ends it.
    rig.app.write_all(b"\x81\x04last").await.unwrap();
    rig.app.write_all(b"\x88\x02\x03\xe9").await.unwrap();
    let mut heard = Vec::new();
    rig.client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"\x81\x04last\x88\x02\x03\xe9");
    assert_eq!(rig.app.read(&mut [0; 1]).await.unwrap(), 0);
    drop(rig.client);
    let closed = rig.task.await.unwrap();
    assert_eq!((closed.by, closed.frames_out), (ClosedBy::Idle, 2), "the first reason stands");
}

#[tokio::test]
async fn no_leave_is_taken_inside_a_frame() {
    let mut rig = rig(b"", b"").await;
    rig.client.write_all(b"\x81\x84\0\0\0\0fr").await.unwrap();
    expect(&mut rig.app, b"\x81\x84\0\0\0\0fr").await;
    rig.tunnel.close(ClosedBy::Drain, Duration::ZERO);
    // The frame that has begun is finished; the one after it is not begun.
    rig.client.write_all(b"om\x81\x84\0\0\0\0more").await.unwrap();
    expect(&mut rig.app, b"om").await;
    expect(&mut rig.app, &GOING_AWAY_MASKED).await;
    rig.app.write_all(b"\x88\x02\x03\xe9").await.unwrap();
    expect(&mut rig.client, b"\x88\x02\x03\xe9").await;
    drop(rig.client);
    assert_eq!(rig.task.await.unwrap().by, ClosedBy::Drain);
}

#[tokio::test]
async fn an_app_that_does_not_answer_a_close_is_not_waited_for() {
    let mut rig = rig(b"", b"").await;
    rig.tunnel.close(ClosedBy::Drain, Duration::ZERO);
    let start = std::time::Instant::now();
    expect(&mut rig.client, &GOING_AWAY).await;
    assert_eq!(rig.client.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(start.elapsed() >= PARTING_MAX && start.elapsed() < PARTING_MAX * 4);
}

#[tokio::test]
async fn a_client_that_is_slow_gets_every_frame_before_it_is_let_go() {
    let mut rig = rig(b"", b"").await;
    // One frame that is larger than every buffer on the way, and one behind it.
    let frame = |length: u64| [&[0x82, 127][..], &length.to_be_bytes(), &vec![7; usize::try_from(length).unwrap()]].concat();
    let sent = [frame(24 * 1024 * 1024), frame(100_000)].concat();
    let (mut from_edge, mut to_edge) = rig.app.into_split();
    let whole = sent.clone();
    let app = tokio::spawn(async move { to_edge.write_all(&whole).await.map(|()| to_edge) });
    rig.tunnel.close(ClosedBy::Drain, Duration::from_secs(60));
    // The app has heard that it is over, and its client takes nothing for longer than an app may take to answer.
    let mut heard = [0; GOING_AWAY_MASKED.len()];
    from_edge.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, GOING_AWAY_MASKED);
    sleep(PARTING_MAX + PARTING_MAX / 4).await;
    let mut received = vec![0; sent.len()];
    rig.client.read_exact(&mut received).await.unwrap();
    assert!(received == sent, "every frame, whole");
    let _to_edge = app.await.unwrap().unwrap();
    expect(&mut rig.client, &GOING_AWAY).await;
    assert_eq!(rig.client.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_does_not_leave_is_reset_after_the_deadline() {
    let mut rig = rig(b"", b"").await;
    rig.tunnel.close(ClosedBy::Drain, Duration::ZERO);
    expect(&mut rig.app, &GOING_AWAY_MASKED).await;
    rig.app.write_all(&GOING_AWAY).await.unwrap();
    expect(&mut rig.client, &GOING_AWAY).await;
    assert_eq!(rig.client.read(&mut [0; 1]).await.unwrap(), 0, "a FIN first");
    assert_eq!(rig.app.read(&mut [0; 1]).await.unwrap(), 0, "the app is free at once");
    // It goes on talking: that resets nothing until the time is up.
    let start = Instant::now();
    while rig.client.write_all(b"\x81\x80\0\0\0\0").await.is_ok() {
        assert!(start.elapsed() < RESET_AFTER * 3, "the client is never reset");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(start.elapsed() > RESET_AFTER / 2, "reset after {:?}", start.elapsed());
    assert_eq!(rig.task.await.unwrap().by, ClosedBy::Drain);
}

#[tokio::test]
async fn an_app_that_dies_ends_the_tunnel() {
    let mut rig = rig(b"", b"").await;
    drop(rig.app);
    assert_eq!(rig.client.read(&mut [0; 1]).await.unwrap(), 0, "the client hears of it");
    assert_eq!(
        rig.tunnel.is_over(clock::millis() + 5_000),
        Some(ClosedBy::App),
        "it does not wait for a client that says nothing"
    );
    drop(rig.client);
    assert_eq!(rig.task.await.unwrap().by, ClosedBy::App);
}

#[tokio::test]
async fn many_tunnels_are_closed_spread_over_the_window() {
    let tunnels = Arc::new(Tunnels::default());
    let mut rigs = Vec::new();
    let mut registrations = Vec::new();
    for _ in 0..10 {
        let mut rig = rig(b"", b"").await;
        registrations.push(tunnels.enter(Arc::clone(&rig.tunnel)));
        rig.app.write_all(&GOING_AWAY).await.unwrap();
        rigs.push(rig);
    }
    let start = Instant::now();
    tunnels.close_over(Duration::from_millis(300), ClosedBy::EdgeShutdown).await;
    assert!(start.elapsed() >= Duration::from_millis(300));
    for rig in rigs {
        drop(rig.client);
        assert_eq!(rig.task.await.unwrap().by, ClosedBy::EdgeShutdown);
    }
    drop(registrations);
    assert!(tunnels.is_empty());
}

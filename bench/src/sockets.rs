//! What does a WebSocket cost the proxy, idle and chatting, beside the peers that people use instead?

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::peers::{HOST, Peer};
use crate::report::{Times, millis};
use crate::sample::Sample;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Idle sockets, each two files in the proxy.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=8_000))]
    idle: u32,
    /// Sockets that chat.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=512))]
    chatting: u32,
    /// Round trips of all of them together.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    trips: u32,
    /// Rounds, in each of which every proxy has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
}

type Socket = WebSocketStream<TcpStream>;

/// What one proxy cost in one round.
struct Cost {
    name: &'static str,
    idle_bytes: f64,
    trip_cpu: Duration,
    p50: Duration,
    p99: Duration,
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sample = Sample::start()?;
    let mut costs = Vec::new();
    for round in 1..=options.rounds {
        for start in Peer::ALL {
            let peer = match start(sample.address) {
                Ok(peer) => peer,
                Err(e) => {
                    if round == 1 {
                        println!("left out: {e}");
                    }
                    continue;
                }
            };
            eprint!("round {round} of {}: {}          \r", options.rounds, peer.name);
            costs.push(runtime.block_on(measure(&peer, options))?);
        }
    }
    eprintln!();
    print(&costs);
    Ok(())
}

async fn measure(peer: &Peer, options: &Options) -> io::Result<Cost> {
    // One socket first, so that what is only made once is not counted.
    let warm = open(peer.address).await?;
    let before = peer.proportional_set_size()?;
    let mut idle = Vec::new();
    for _ in 0..options.idle {
        idle.push(open(peer.address).await?);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let idle_bytes = peer.proportional_set_size()?.saturating_sub(before) as f64 / f64::from(options.idle);
    drop((warm, idle));

    let mut chatting = Vec::new();
    for _ in 0..options.chatting {
        chatting.push(open(peer.address).await?);
    }
    let before = peer.cpu_time()?;
    let trips = options.trips / options.chatting;
    let times = futures_util::future::try_join_all(chatting.into_iter().map(|socket| chat(socket, trips))).await?;
    let spent = peer.cpu_time()?.saturating_sub(before);
    let times = Times::new(times.into_iter().flatten().collect());
    let trip_cpu = spent / (trips * options.chatting);
    Ok(Cost { name: peer.name, idle_bytes, trip_cpu, p50: times.percentile(0.5), p99: times.percentile(0.99) })
}

async fn open(address: SocketAddr) -> io::Result<Socket> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!("ws://{HOST}/websocket").into_client_request().map_err(io::Error::other)?;
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(io::Error::other)?;
    Ok(socket)
}

/// Says `ping` as DDP does, 128 bytes of it, and waits for the `pong`.
async fn chat(mut socket: Socket, trips: u32) -> io::Result<Vec<Duration>> {
    let connect = r#"{"msg":"connect","version":"1","support":["1"]}"#;
    socket.send(Message::text(connect)).await.map_err(io::Error::other)?;
    let ping = format!(r#"{{"msg":"ping","id":"{}"}}"#, "x".repeat(128 - 23));
    let mut times = Vec::new();
    for _ in 0..trips {
        let start = Instant::now();
        socket.send(Message::text(ping.as_str())).await.map_err(io::Error::other)?;
        loop {
            let Some(message) = socket.next().await else { return Err(io::Error::other("the socket was closed")) };
            if message.map_err(io::Error::other)?.to_text().is_ok_and(|text| text.contains("pong")) {
                break;
            }
        }
        times.push(start.elapsed());
    }
    Ok(times)
}

fn print(costs: &[Cost]) {
    let of = |name: &str, value: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().filter(|cost| cost.name == name).map(value).collect();
        values.sort_by(f64::total_cmp);
        (
            values.get(values.len() / 2).copied().unwrap_or_default(),
            values.first().copied().unwrap_or_default(),
            values.last().copied().unwrap_or_default(),
        )
    };
    let mut names: Vec<_> = costs.iter().map(|cost| cost.name).collect();
    names.dedup();
    names.sort_unstable_by_key(|name| (*name != "karman", *name));
    names.dedup();
    println!("medians of the rounds, least and most in brackets, and the ratio of karman's median to the peer's");
    println!("{:<10} {:<32} {:<34} {:<24}", "", "idle socket, memory (Pss)", "round trip of 128 bytes, CPU", "its p50, p99");
    for name in &names {
        let (idle, idle_min, idle_max) = of(name, |cost| cost.idle_bytes / 1e3);
        let (trip, trip_min, trip_max) = of(name, |cost| cost.trip_cpu.as_secs_f64() * 1e6);
        let (own_idle, ..) = of("karman", |cost| cost.idle_bytes / 1e3);
        let (own_trip, ..) = of("karman", |cost| cost.trip_cpu.as_secs_f64() * 1e6);
        let [p50, p99] =
            [of(name, |cost| cost.p50.as_secs_f64()).0, of(name, |cost| cost.p99.as_secs_f64()).0].map(Duration::from_secs_f64);
        println!(
            "{name:<10} {:<32} {:<34} {:<24}",
            format!("{idle:.1} kB ({idle_min:.1}-{idle_max:.1}) x{:.2}", own_idle / idle),
            format!("{trip:.1} us ({trip_min:.1}-{trip_max:.1}) x{:.2}", own_trip / trip),
            format!("{}, {}", millis(p50), millis(p99)),
        );
    }
}

//! HTTP/2 at a stated rate: requests are due by the clock, each is a stream of its own, and a slow answer delays no other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::pace::Noted;
use crate::contender::HOST;

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(10);

type Sender = SendRequest<Empty<Bytes>>;

/// Some connections within TLS, all of them kept. They end with this value.
pub(crate) struct Streams {
    senders: Vec<Sender>,
    runtime: Runtime,
}

/// When a request was due and how long it took from then on, or why there was no answer.
type Told = (Duration, Result<Duration, String>);

impl Streams {
    /// `config` offers `h2`, and wants it to be taken.
    pub(crate) fn open(address: SocketAddr, config: &Arc<ClientConfig>, connections: u32) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let senders = (0..connections).map(|_| runtime.block_on(connect(address, config))).collect::<io::Result<_>>()?;
        Ok(Self { senders, runtime })
    }

    /// Asks at a rate that stays the same, over the connections in turn.
    pub(crate) fn steady(&self, path: &str, per_second: f64, time: Duration) -> io::Result<Noted> {
        let mut asks = JoinSet::new();
        let start = Instant::now() + Duration::from_millis(50);
        let count = (per_second * time.as_secs_f64()).round() as u32;
        for (n, sender) in (0..count).zip(self.senders.iter().cycle()) {
            let due = Duration::from_secs_f64(f64::from(n) / per_second);
            // Not by the runtime's clock, which knows milliseconds only.
            thread::sleep((start + due).saturating_duration_since(Instant::now()));
            let request = Request::builder().method(Method::GET).uri(format!("https://{HOST}{path}"));
            let request = request.body(Empty::new()).map_err(io::Error::other)?;
            asks.spawn_on(ask(sender.clone(), request, start, due), self.runtime.handle());
        }
        let told: Vec<Told> = self.runtime.block_on(asks.join_all());
        Ok(Noted::of(told))
    }
}

async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Sender> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(io::Error::other("it does not speak HTTP/2"));
    }
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends when the senders do, or the server.
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(mut sender: Sender, request: Request<Empty<Bytes>>, start: Instant, due: Duration) -> Told {
    let asking = async {
        sender.ready().await.map_err(|_| "no stream".to_owned())?;
        let answer = sender.send_request(request).await.map_err(|_| "no answer".to_owned())?;
        let status = answer.status();
        answer.into_body().collect().await.map_err(|_| "an answer that was cut".to_owned())?;
        if status.is_success() { Ok(start.elapsed().saturating_sub(due)) } else { Err(format!("status {}", status.as_u16())) }
    };
    (due, tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err("no answer in time".to_owned())))
}

//! Receives the header of one connection, and takes no byte that is not its own.

use std::fmt::{self, Display};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Endpoints, Flaw, HEADER_BYTES_MAX, Parsed, parse};
use crate::clock;
use crate::settings::ProxyProtocol;

/// How long a balancer may take for its header: it sends it in one piece, with the client's first bytes.
const HEADER_TIME_MAX: Duration = Duration::from_secs(2);
/// How often the log says that connections are refused.
const WARN_EVERY_MILLIS: u64 = 10_000;

/// Why a connection was closed before anything was served on it.
#[derive(Debug)]
pub enum Refused {
    /// The peer is in none of the networks that the settings name.
    Stranger,
    Flaw(Flaw),
    Slow,
    /// It went away.
    Gone,
}

/// Reads the header that every connection of a listener with [`ProxyProtocol`] starts with: who its
/// client is. Refused, the connection is reset: no answer, and nothing that a scanner could learn.
pub async fn receive(
    mut stream: TcpStream,
    socket: Endpoints,
    settings: &ProxyProtocol,
) -> Result<(TcpStream, Endpoints), Refused> {
    let received = match settings.believes(socket.client) {
        true => timeout(HEADER_TIME_MAX, read(&mut stream)).await.unwrap_or(Err(Refused::Slow)),
        false => Err(Refused::Stranger),
    };
    match received {
        Ok(endpoints) => Ok((stream, endpoints.unwrap_or(socket))),
        Err(refused) => {
            // A socket that does not know the option ends with a FIN instead.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            Err(refused)
        }
    }
}

impl ProxyProtocol {
    /// Whether a PROXY header from this address is believed.
    pub fn believes(&self, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        self.from.iter().any(|net| net.contains(&ip))
    }
}

async fn read(stream: &mut TcpStream) -> Result<Option<Endpoints>, Refused> {
    let mut header = [0; HEADER_BYTES_MAX];
    let mut taken = 0;
    loop {
        // Looked at first, taken then: what follows the header is not ours to read.
        let space = header.get_mut(taken..).ok_or(Refused::Flaw(Flaw::TooLong))?;
        let seen = match stream.peek(space).await {
            Ok(0) | Err(_) => return Err(Refused::Gone),
            Ok(seen) => taken + seen,
        };
        let (bytes, endpoints) = match parse(header.get(..seen).unwrap_or_default()) {
            Ok(Parsed::Whole { bytes, endpoints }) => (bytes, Some(endpoints)),
            Ok(Parsed::Partial) => (seen, None),
            Err(flaw) => return Err(Refused::Flaw(flaw)),
        };
        let space = header.get_mut(taken..bytes).unwrap_or_default();
        stream.read_exact(space).await.map_err(|_: io::Error| Refused::Gone)?;
        if let Some(endpoints) = endpoints {
            return Ok(endpoints);
        }
        taken = bytes;
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger => f.write_str("it is in no network of 'listen.proxy_protocol.from'"),
            Self::Flaw(flaw) => flaw.fmt(f),
            Self::Slow => write!(f, "no whole PROXY header within {} s", HEADER_TIME_MAX.as_secs()),
            Self::Gone => f.write_str("it went away before its PROXY header was whole"),
        }
    }
}

/// Counts refused connections, and says so in the log now and then: strangers may not fill it, and a
/// balancer that is set up wrongly shall be found.
#[derive(Debug, Default)]
pub struct Refusals {
    since_warning: AtomicU64,
    warn_at: AtomicU64,
}

impl Refusals {
    pub fn note(&self, peer: SocketAddr, refused: &Refused) {
        let count = self.since_warning.fetch_add(1, Relaxed) + 1;
        let (now, due) = (clock::millis(), self.warn_at.load(Relaxed));
        let ours = now >= due && self.warn_at.compare_exchange(due, now + WARN_EVERY_MILLIS, Relaxed, Relaxed).is_ok();
        if ours {
            self.since_warning.fetch_sub(count, Relaxed);
            tracing::warn!(%peer, count, "a connection was refused: {refused}");
        }
    }
}

//! Client listeners: bind, accept within the limit of connections, hand each connection to the proxy.

mod http2;

use std::fmt::{self, Debug};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::apps::{HttpPersistentSettings, HttpServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::border;
use crate::connection::{Connection, Fresh, Slot};
use crate::edge::Edge;
use crate::proxy::Proxy;
use crate::proxy_protocol;
use crate::settings::Limits;
use crate::socket::{Socket, Tcp};
use crate::tls::Secured;

/// Connections that the kernel keeps for us while we are busy or full.
const BACKLOG: u32 = 4_096;
/// After an accept that failed for want of something (files, memory), which a moment may bring back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often that is said: it may come and go many times a second.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Binds an address; port 0 lets the system choose.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The client listeners, which can be given to another process and taken back.
#[derive(Debug)]
pub struct Acceptors {
    doors: Vec<Door>,
    front: Arc<Front>,
    accepting: Mutex<JoinSet<()>>,
    go_on: watch::Sender<bool>,
}

/// One of the listeners.
#[derive(Clone, Debug)]
pub struct Door {
    pub listener: Arc<TcpListener>,
    pub is_https: bool,
}

/// Where accepted connections go.
struct Front {
    /// One for each of the threads.
    proxies: Vec<Arc<HttpProxy<Proxy>>>,
    edge: Arc<Edge>,
    /// Says when connections are to end after their request.
    stop: ShutdownWatch,
}

impl Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("front")
    }
}

impl Acceptors {
    pub fn new(doors: Vec<Door>, proxies: Vec<Arc<HttpProxy<Proxy>>>, edge: Arc<Edge>, stop: ShutdownWatch) -> Self {
        let front = Arc::new(Front { proxies, edge, stop });
        Self { doors, front, accepting: Mutex::default(), go_on: watch::Sender::new(false) }
    }

    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// Accepts from now on.
    pub async fn start(&self) {
        let mut accepting = self.accepting.lock().await;
        self.go_on.send_replace(true);
        for door in &self.doors {
            accepting.spawn(accept(door.clone(), Arc::clone(&self.front), self.go_on.subscribe()));
        }
    }

    /// Accepts no more when this returns. Clients that come now wait in the backlog; connections that are open go on.
    pub async fn pause(&self) {
        let mut accepting = self.accepting.lock().await;
        self.go_on.send_replace(false);
        while accepting.join_next().await.is_some() {}
    }
}

async fn accept(Door { listener, is_https }: Door, front: Arc<Front>, mut go_on: watch::Receiver<bool>) {
    let Ok(local) = listener.local_addr() else { return };
    let mut warned: Option<Instant> = None;
    while *go_on.borrow_and_update() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = go_on.changed() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                // It is told of by the thread that it is given to, and by no other.
                let Ok(stream) = stream.into_std() else { continue };
                // Counted from here on: a stop waits for its first request.
                let fresh = Fresh::new(&front.edge.counts.fresh);
                let arrival = Arrival { stream, ends: proxy_protocol::Ends { client: peer, local }, fresh, is_https };
                let mut slot = Box::pin(Arc::clone(&front.edge.slots).acquire_owned());
                // Without a free slot no more are accepted: they wait in the backlog, where they cost nothing.
                tokio::select! {
                    slot = &mut slot => front.take(arrival, slot.ok()),
                    // Who was accepted is served, whoever accepts the next.
                    _ = go_on.changed() => {
                        let front = Arc::clone(&front);
                        tokio::spawn(async move { front.take(arrival, slot.await.ok()) });
                    }
                }
            }
            Err(e) => {
                if warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
                    tracing::warn!(%local, error = %e, "connections cannot be accepted; trying on");
                    warned = Some(Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that was accepted, on its way to the thread that serves it.
struct Arrival {
    stream: std::net::TcpStream,
    ends: proxy_protocol::Ends,
    fresh: Fresh,
    is_https: bool,
}

impl Front {
    /// Gives a connection to one of the threads, to each in turn. Nobody closes the semaphore that slots come from.
    fn take(self: &Arc<Self>, arrival: Arrival, slot: Option<Slot>) {
        let Some(slot) = slot else { return };
        let (thread, front) = (self.edge.threads.turn(), Arc::clone(self));
        self.edge.threads.spawn(thread, async move {
            if let Some(http) = front.proxies.get(thread) {
                serve(arrival, slot, http, &front).await;
            }
        });
    }
}

/// Who a connection is from: the socket's peer, or whom the PROXY header names where the settings expect one.
async fn introduce(stream: TcpStream, socket: proxy_protocol::Ends, edge: &Edge) -> Option<(TcpStream, proxy_protocol::Ends)> {
    let Some(expected) = &edge.settings.listen.proxy_protocol else { return Some((stream, socket)) };
    // In a box: its buffer is not kept for the life of the connection.
    let received = Box::pin(proxy_protocol::receive(stream, socket, expected)).await;
    received.inspect_err(|refused| edge.counts.unintroduced.note(socket.client, refused)).ok()
}

/// What is read from and written to: the socket as it is, or in TLS once hands are shaken.
async fn open(stream: TcpStream, is_https: bool, ends: proxy_protocol::Ends, edge: &Edge) -> Option<(Socket, Option<Secured>)> {
    // Small frames must not wait for an acknowledgement; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    let stream = Tcp::new(stream);
    if !is_https {
        return Some((Socket::Plain(stream), None));
    }
    // Boxed: a handshake needs much for a moment, a connection lives long.
    let (stream, secured) = Box::pin(edge.tls.accept(edge, stream, ends.client, ends.local)).await?;
    Some((Socket::Tls(Box::new(stream)), Some(secured)))
}

/// What one HTTP/2 connection may ask of us. A head over our own limit is answered with a code; one
/// over this is answered by the protocol.
pub fn http2_options(limits: &Limits) -> H2Options {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(number(limits.http2_streams))
        .max_header_list_size(number(limits.header_bytes.saturating_mul(2)))
        .max_concurrent_reset_streams(limits.http2_resets)
        .max_pending_accept_reset_streams(limits.http2_resets)
        .max_local_error_reset_streams(Some(limits.http2_resets));
    options
}

/// Serves the requests of one connection, until it ends or becomes a tunnel.
async fn serve(arrival: Arrival, slot: Slot, http: &Arc<HttpProxy<Proxy>>, Front { edge, stop, .. }: &Front) {
    let Arrival { stream, ends, fresh, is_https } = arrival;
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let Some((stream, ends)) = introduce(stream, ends, edge).await else { return };
    let Some(socket) = open(stream, is_https, ends, edge).await else { return };
    let slowest = edge.settings.limits.slowest();
    let mut connection = Box::new(Connection::of_client(socket, (ends.client, ends.local), slot, fresh, slowest));
    if connection.ends().is_http2() {
        // In a box: other connections keep no room for it.
        return Box::pin(http2::serve(connection, http, edge, stop)).await;
    }
    let mut kept: Option<HttpPersistentSettings> = None;
    while let Some(head) = border::next_head(&mut connection, edge, kept.is_none()).await {
        let mut session = ServerSession::new_http1(connection);
        match kept {
            Some(kept) => kept.apply_to_session(&mut session),
            None => {
                let requests = u32::try_from(edge.settings.limits.keepalive_requests).unwrap_or(u32::MAX);
                session.set_keepalive_reuses_remaining(Some(requests));
            }
        }
        session.set_pipelined_prefix(head);
        let Some(reused) = http.process_new_http(session, stop).await else { return };
        let (stream, settings) = reused.consume();
        let Some(again) = Connection::from(stream) else { return };
        (connection, kept) = (again, settings);
    }
}

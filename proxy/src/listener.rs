//! Client listeners: bind, accept within the limit of connections, hand each connection to the proxy.

use std::fmt::{self, Debug};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::apps::{HttpPersistentSettings, HttpServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::border;
use crate::connection::{Connection, Fresh, Slot};
use crate::edge::Edge;
use crate::proxy::Proxy;
use crate::proxy_protocol::{self, Ends};

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
    listeners: Vec<Arc<TcpListener>>,
    front: Arc<Front>,
    accepting: Mutex<JoinSet<()>>,
    go_on: watch::Sender<bool>,
}

/// Where accepted connections go.
struct Front {
    http: Arc<HttpProxy<Proxy>>,
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
    pub fn new(listeners: Vec<TcpListener>, http: Arc<HttpProxy<Proxy>>, edge: Arc<Edge>, stop: ShutdownWatch) -> Self {
        let front = Arc::new(Front { http, edge, stop });
        let listeners = listeners.into_iter().map(Arc::new).collect();
        Self { listeners, front, accepting: Mutex::default(), go_on: watch::Sender::new(false) }
    }

    pub fn listeners(&self) -> &[Arc<TcpListener>] {
        &self.listeners
    }

    /// Accepts from now on.
    pub async fn start(&self) {
        let mut accepting = self.accepting.lock().await;
        self.go_on.send_replace(true);
        for listener in &self.listeners {
            accepting.spawn(accept(Arc::clone(listener), Arc::clone(&self.front), self.go_on.subscribe()));
        }
    }

    /// Accepts no more when this returns. Clients that come now wait in the backlog; connections that are open go on.
    pub async fn pause(&self) {
        let mut accepting = self.accepting.lock().await;
        self.go_on.send_replace(false);
        while accepting.join_next().await.is_some() {}
    }
}

async fn accept(listener: Arc<TcpListener>, front: Arc<Front>, mut go_on: watch::Receiver<bool>) {
    let Ok(local) = listener.local_addr() else { return };
    let mut warned: Option<Instant> = None;
    while *go_on.borrow_and_update() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = go_on.changed() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Counted from here on: a stop waits for its first request.
                let fresh = Fresh::new(&front.edge.counts.fresh);
                let ends = Ends { client: peer, local };
                let mut slot = Box::pin(Arc::clone(&front.edge.slots).acquire_owned());
                // Without a free slot no more are accepted: they wait in the backlog, where they cost nothing.
                tokio::select! {
                    slot = &mut slot => drop(tokio::spawn(serve(stream, ends, fresh, slot.ok(), Arc::clone(&front)))),
                    // Who was accepted is served, whoever accepts the next.
                    _ = go_on.changed() => {
                        let front = Arc::clone(&front);
                        tokio::spawn(async move { serve(stream, ends, fresh, slot.await.ok(), front).await });
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

/// Who a connection is from: the socket's peer, or whom the PROXY header names where the settings expect one.
async fn introduce(stream: TcpStream, socket: Ends, edge: &Edge) -> Option<(TcpStream, Ends)> {
    let Some(expected) = &edge.settings.listen.proxy_protocol else { return Some((stream, socket)) };
    // In a box: its buffer is not kept for the life of the connection.
    let received = Box::pin(proxy_protocol::receive(stream, socket, expected)).await;
    received.inspect_err(|refused| edge.counts.unintroduced.note(socket.client, refused)).ok()
}

/// Serves the requests of one connection, until it ends or becomes a tunnel.
async fn serve(stream: TcpStream, socket: Ends, fresh: Fresh, slot: Option<Slot>, front: Arc<Front>) {
    // Nobody closes the semaphore.
    let Some(slot) = slot else { return };
    let Front { http, edge, stop } = &*front;
    let Some((stream, ends)) = introduce(stream, socket, edge).await else { return };
    let slowest = edge.settings.limits.slowest();
    let mut connection = Box::new(Connection::new(stream, ends.client, ends.local).of_client(slot, fresh, slowest));
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

//! Client listeners: bind, accept within the limit of connections, hand each connection to the proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::apps::{HttpPersistentSettings, HttpServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::border;
use crate::connection::{Connection, Fresh};
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

/// Accepts until `stop` says so. Connections that are open then go on.
pub async fn accept(listener: TcpListener, http: Arc<HttpProxy<Proxy>>, edge: Arc<Edge>, mut stop: ShutdownWatch) {
    let Ok(local) = listener.local_addr() else { return };
    let mut warned: Option<Instant> = None;
    while !*stop.borrow() {
        // Without a free slot no more are accepted: they wait in the backlog, where they cost nothing.
        let accepted = async {
            let accepted = listener.accept().await;
            (accepted, Arc::clone(&edge.slots).acquire_owned().await)
        };
        let (accepted, slot) = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.changed() => break,
        };
        match (accepted, slot) {
            (Ok((stream, peer)), Ok(slot)) => {
                let (fresh, http, edge, stop) =
                    (Fresh::new(&edge.counts.fresh), Arc::clone(&http), Arc::clone(&edge), stop.clone());
                tokio::spawn(async move {
                    if let Some((stream, ends)) = introduce(stream, Ends { client: peer, local }, &edge).await {
                        let slowest = edge.settings.limits.slowest();
                        let connection = Connection::new(stream, ends.client, ends.local).of_client(slot, fresh, slowest);
                        serve(Box::new(connection), http, edge, stop).await;
                    }
                });
            }
            (Err(e), _) => {
                if warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
                    tracing::warn!(%local, error = %e, "connections cannot be accepted; trying on");
                    warned = Some(Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // Nobody closes the semaphore.
            (_, Err(_)) => break,
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
async fn serve(mut connection: Box<Connection>, http: Arc<HttpProxy<Proxy>>, edge: Arc<Edge>, stop: ShutdownWatch) {
    let mut kept: Option<HttpPersistentSettings> = None;
    while let Some(head) = border::next_head(&mut connection, &edge, kept.is_none()).await {
        let mut session = ServerSession::new_http1(connection);
        match kept {
            Some(kept) => kept.apply_to_session(&mut session),
            None => {
                let requests = u32::try_from(edge.settings.limits.keepalive_requests).unwrap_or(u32::MAX);
                session.set_keepalive_reuses_remaining(Some(requests));
            }
        }
        session.set_pipelined_prefix(head);
        let Some(reused) = http.process_new_http(session, &stop).await else { return };
        let (stream, settings) = reused.consume();
        let Some(again) = Connection::from(stream) else { return };
        (connection, kept) = (again, settings);
    }
}

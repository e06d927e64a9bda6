//! Client listeners: bind, accept within the limit of connections, hand each connection to the proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::{HttpServerApp, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::net::{TcpListener, TcpSocket};

use crate::connection::{Connection, Fresh};
use crate::edge::Edge;
use crate::proxy::Proxy;

/// Connections that the kernel keeps for us while we are busy or full.
const BACKLOG: u32 = 4_096;
/// After an accept that failed for want of something (files, memory), which a moment may bring back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    let mut failing = false;
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
                failing = false;
                let connection = Connection::new(stream, peer, local).of_client(slot, Fresh::new(&edge.counts.fresh));
                tokio::spawn(serve(connection, Arc::clone(&http), Arc::clone(&edge), stop.clone()));
            }
            (Err(e), _) => {
                if !failing {
                    tracing::warn!(%local, error = %e, "connections cannot be accepted; trying on");
                    failing = true;
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // Nobody closes the semaphore.
            (_, Err(_)) => break,
        }
    }
}

/// Serves the requests of one connection, until it ends or becomes a tunnel.
async fn serve(connection: Connection, http: Arc<HttpProxy<Proxy>>, edge: Arc<Edge>, stop: ShutdownWatch) {
    let limits = &edge.settings.limits;
    connection.deadline().set(limits.head);
    let mut session = ServerSession::new_http1(Box::new(connection));
    session.set_keepalive(Some(limits.keepalive.as_secs()));
    session.set_keepalive_reuses_remaining(u32::try_from(limits.keepalive_requests).ok());
    let mut reused = http.process_new_http(session, &stop).await;
    while let Some((stream, settings)) = reused.map(ReusedHttpStream::consume) {
        // Idle first, then a head: a client that drips its bytes gets no more time than both together.
        if let Some(connection) = Connection::of(&stream) {
            connection.deadline().set(limits.keepalive + limits.head);
        }
        let mut session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
        reused = http.process_new_http(session, &stop).await;
    }
}

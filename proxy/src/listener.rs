//! Client listeners: bind, accept within the limit of connections, hand each connection to the proxy.

mod http2;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::apps::{HttpPersistentSettings, HttpServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Mutex, watch};
use tokio::task::coop::consume_budget;
use tokio::task::{JoinSet, yield_now};

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
/// Connections that a thread takes before it turns to those that it has.
const TAKEN_AT_ONCE: usize = 16;
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
    /// The same one, for those who come while somebody is taken.
    same: Arc<StdListener>,
    pub is_https: bool,
}

impl Door {
    pub fn new(listener: TcpListener, is_https: bool) -> io::Result<Self> {
        let same = StdListener::from(listener.as_fd().try_clone_to_owned()?);
        Ok(Self { listener: Arc::new(listener), same: Arc::new(same), is_https })
    }
}

/// Where accepted connections go: to the threads, each in its turn. What waits there has a slot each.
#[derive(Debug)]
struct Front {
    edge: Arc<Edge>,
    threads: Vec<UnboundedSender<Arrival>>,
}

/// A connection that was accepted.
#[derive(Debug)]
struct Accepted {
    stream: StdStream,
    endpoints: proxy_protocol::Endpoints,
    fresh: Fresh,
    is_https: bool,
}

/// One that was let in, on its way to the thread that serves it.
#[derive(Debug)]
struct Arrival {
    accepted: Accepted,
    slot: Slot,
}

impl Acceptors {
    /// `proxies`: one for each of the threads.
    pub fn new(doors: Vec<Door>, proxies: Vec<Arc<HttpProxy<Proxy>>>, edge: Arc<Edge>, stop: &ShutdownWatch) -> Self {
        let thread = |(number, http): (usize, Arc<HttpProxy<Proxy>>)| {
            let (sender, arrivals) = mpsc::unbounded_channel();
            let server = Arc::new(Server { http, edge: Arc::clone(&edge), stop: stop.clone() });
            edge.threads.spawn(number, take(arrivals, server));
            sender
        };
        let threads = proxies.into_iter().enumerate().map(thread).collect();
        Self { doors, front: Arc::new(Front { edge, threads }), accepting: Mutex::default(), go_on: watch::Sender::new(false) }
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

async fn accept(door: Door, front: Arc<Front>, mut go_on: watch::Receiver<bool>) {
    let Ok(local) = door.listener.local_addr() else { return };
    let mut warned: Option<Instant> = None;
    while *go_on.borrow_and_update() {
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            _ = go_on.changed() => continue,
        };
        // The event loop of this task watches the first of a crowd for a moment, and the others never: the threads that serve
        // them have their own.
        let mut accepted = accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer)));
        while let Ok((stream, client)) = accepted {
            let endpoints = proxy_protocol::Endpoints { client, local };
            // Counted from here on: a stop waits for its first request.
            let fresh = Fresh::new(&front.edge.counts.fresh);
            front.admit(Accepted { stream, endpoints, fresh, is_https: door.is_https }, &mut go_on).await;
            consume_budget().await;
            accepted = if *go_on.borrow() { door.same.accept() } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let Err(e) = accepted else { continue };
        if e.kind() != io::ErrorKind::WouldBlock {
            if warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
                tracing::warn!(%local, error = %e, "connections cannot be accepted; trying on");
                warned = Some(Instant::now());
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

impl Front {
    /// Lets a connection in once there is a slot for it. Without a free one no more are accepted: they wait in the backlog,
    /// where they cost nothing. Nobody closes the semaphore that slots come from.
    async fn admit(self: &Arc<Self>, accepted: Accepted, go_on: &mut watch::Receiver<bool>) {
        let slots = Arc::clone(&self.edge.slots);
        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            return self.give(Arrival { accepted, slot });
        }
        let mut slot = Box::pin(slots.acquire_owned());
        tokio::select! {
            Ok(slot) = &mut slot => self.give(Arrival { accepted, slot }),
            // Who was accepted is served, whoever accepts the next.
            _ = go_on.changed() => {
                let front = Arc::clone(self);
                tokio::spawn(async move { slot.await.map(|slot| front.give(Arrival { accepted, slot })) });
            }
        }
    }

    /// Gives a connection to the thread whose turn it is. A thread takes them for the life of the process.
    fn give(&self, arrival: Arrival) {
        if let Some(thread) = self.threads.get(self.edge.threads.turn()) {
            let _ = thread.send(arrival);
        }
    }
}

/// Takes what comes to a thread.
async fn take(mut arrivals: UnboundedReceiver<Arrival>, server: Arc<Server>) {
    let mut taken = Vec::with_capacity(TAKEN_AT_ONCE);
    while arrivals.recv_many(&mut taken, TAKEN_AT_ONCE).await > 0 {
        for arrival in taken.drain(..) {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.serve(arrival).await });
        }
        // Who is here goes before who comes: the event loop is asked in between.
        yield_now().await;
    }
}

/// Who a connection is from: the socket's peer, or whom the PROXY header names where the settings expect one.
async fn introduce(
    stream: TcpStream,
    socket: proxy_protocol::Endpoints,
    edge: &Edge,
) -> Option<(TcpStream, proxy_protocol::Endpoints)> {
    let Some(expected) = &edge.settings.listen.proxy_protocol else { return Some((stream, socket)) };
    // In a box: its buffer is not kept for the life of the connection.
    let received = Box::pin(proxy_protocol::receive(stream, socket, expected)).await;
    received.inspect_err(|refused| edge.counts.unintroduced.note(socket.client, refused)).ok()
}

/// What is read from and written to: the socket as it is, or in TLS once hands are shaken.
async fn open(
    stream: TcpStream,
    is_https: bool,
    endpoints: proxy_protocol::Endpoints,
    edge: &Edge,
) -> Option<(Socket, Option<Secured>)> {
    // Small frames must not wait for an acknowledgement; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    let stream = Tcp::Watched(stream);
    if !is_https {
        return Some((Socket::Plain(stream), None));
    }
    // Boxed: a handshake needs much for a moment, a connection lives long.
    let (stream, secured) = Box::pin(edge.tls.accept(edge, stream, endpoints.client, endpoints.local)).await?;
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

/// What serves the connections of a thread.
struct Server {
    http: Arc<HttpProxy<Proxy>>,
    edge: Arc<Edge>,
    /// Says when connections are to end after their request.
    stop: ShutdownWatch,
}

impl Server {
    /// Serves the requests of one connection, until it ends or becomes a tunnel.
    async fn serve(&self, Arrival { accepted, slot }: Arrival) {
        let Accepted { stream, endpoints, fresh, is_https } = accepted;
        let Self { http, edge, stop } = self;
        let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) else { return };
        let Some((stream, endpoints)) = introduce(stream, endpoints, edge).await else { return };
        let Some(socket) = open(stream, is_https, endpoints, edge).await else { return };
        let slowest = edge.settings.limits.slowest();
        let mut connection = Box::new(Connection::of_client(socket, (endpoints.client, endpoints.local), slot, fresh, slowest));
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
}

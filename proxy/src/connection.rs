//! A connection as pingora's HTTP sessions see it: a socket of ours, which can be taken back.
//!
//! pingora's own stream keeps a 64 KiB read buffer for the life of a connection and hides the
//! socket. This one keeps a small write buffer only, knows its addresses without asking the kernel,
//! can end a wait at a deadline, and gives the socket back when a request becomes a tunnel.

mod message;
mod streams;
#[cfg(test)]
mod tests;
mod waiting;

use std::fmt::{self, Debug};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use http::StatusCode;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest, UniqueID,
    UniqueIDType,
};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::net::TcpStream;

use self::waiting::{ANSWER_TOO_SLOW, Waiting};
use crate::clock;
use crate::exchange::Counted;
use crate::framing::Framing;
use crate::patience::{Patience, Slowest};
use crate::socket::{Socket, Tcp};
use crate::tls::Secured;
use crate::vitals::{AppVitals, lock};

pub use self::streams::{OpenStream, Streams};
pub use self::waiting::{BODY_TOO_SLOW, Fault};

/// Enough for a head, so that head and a small body leave in one packet.
const WRITE_BUFFER: usize = 2_048;

/// A connection, and what is known of its ends.
pub struct Connection {
    stream: BufWriter<Socket>,
    ends: Arc<Ends>,
    /// Its place among the connections that the process may have; a client's has one.
    slot: Option<Slot>,
    /// Read and not given to a session yet: of the message at hand, or of the next.
    ahead: BytesMut,
    /// What belongs to the message at hand. A session gets to see no byte more.
    framing: Framing,
    reading: Waiting,
    writing: Waiting,
    fault: Option<Fault>,
}

/// What a request may ask about the connection it came on. The streams of an HTTP/2 connection share it.
#[derive(Debug)]
pub struct Ends {
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// Absent on a connection without TLS.
    pub secured: Option<Secured>,
    /// Of an HTTP/2 connection.
    pub streams: Option<Arc<Streams>>,
    fresh: Option<Fresh>,
    deadline: Deadline,
    /// The app that its last request was for.
    app: Mutex<Option<Counted>>,
}

impl Ends {
    fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        Self { peer, local, secured: None, streams: None, fresh: None, deadline: Deadline::default(), app: Mutex::new(None) }
    }

    /// A request has come.
    pub fn hear(&self) {
        self.deadline.clear();
        if let Some(fresh) = &self.fresh {
            fresh.hear();
        }
    }

    pub fn is_http2(&self) -> bool {
        self.secured.as_ref().is_some_and(|secured| secured.http2)
    }

    /// Counts the connection at an app, until it asks for another. `false`: that has as many as it may (0:
    /// any number).
    pub fn serve(&self, app: &Arc<AppVitals>, most: u32) -> bool {
        let mut counted = lock(&self.app);
        if counted.as_ref().is_some_and(|counted| counted.is_of(app)) {
            return true;
        }
        let has_room = |connections| most == 0 || connections + app.sockets.load(Relaxed) < most;
        let Some(one_more) = Counted::new_if(app, |vitals| &vitals.connections, has_room) else { return false };
        *counted = Some(one_more);
        true
    }

    /// Whether the owner of its app has more than a fair share of the connections.
    pub fn is_over_share(&self) -> bool {
        lock(&self.app).as_ref().is_some_and(Counted::is_over_share)
    }

    /// When reading ends. It is for the whole connection: several requests at once have no use for it.
    pub fn deadline(&self) -> Option<&Deadline> {
        (!self.is_http2()).then_some(&self.deadline)
    }
}

/// A connection whose first request has not come yet, counted for as long as that is so.
#[derive(Debug)]
pub struct Fresh {
    count: Arc<AtomicUsize>,
    heard: AtomicBool,
}

impl Fresh {
    pub fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self { count: Arc::clone(count), heard: AtomicBool::new(false) }
    }

    fn hear(&self) {
        if !self.heard.swap(true, Relaxed) {
            self.count.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.hear();
    }
}

/// A place among the connections that the process may have open, given back when dropped.
pub type Slot = tokio::sync::OwnedSemaphorePermit;

/// When reading from a connection ends with an error, however it goes on until then.
#[derive(Debug, Default)]
pub struct Deadline(AtomicU64);

impl Deadline {
    pub fn set(&self, after: Duration) {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX / 2);
        self.0.store(clock::millis().saturating_add(millis), Relaxed);
    }

    pub fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    pub fn passed(&self) -> bool {
        let at = self.0.load(Relaxed);
        at != 0 && at <= clock::millis()
    }
}

impl Connection {
    pub fn new(stream: TcpStream, peer: SocketAddr, local: SocketAddr) -> Self {
        // Small frames must not wait for an acknowledgement; a socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        Self::with(Socket::Plain(Tcp::Watched(stream)), Ends::new(peer, local))
    }

    /// A client's connection: it has a slot, is fresh until its first request is there, and may not be
    /// slower than this.
    pub fn of_client(
        (socket, secured): (Socket, Option<Secured>),
        (peer, local): (SocketAddr, SocketAddr),
        slot: Slot,
        fresh: Fresh,
        slowest: Slowest,
    ) -> Self {
        let streams = secured.as_ref().filter(|secured| secured.http2).map(|_| Arc::default());
        let mut connection = Self::with(socket, Ends { secured, streams, fresh: Some(fresh), ..Ends::new(peer, local) });
        connection.slot = Some(slot);
        connection.writing.patience = Some(Patience::new(slowest));
        if !connection.ends.is_http2() {
            connection.framing = Framing::length(0);
            connection.reading.patience = Some(Patience::new(slowest));
        }
        connection
    }

    fn with(socket: Socket, ends: Ends) -> Self {
        Self {
            stream: BufWriter::with_capacity(WRITE_BUFFER, socket),
            ends: Arc::new(ends),
            slot: None,
            ahead: BytesMut::new(),
            framing: Framing::Open,
            reading: Waiting::new(),
            writing: Waiting::new(),
            fault: None,
        }
    }

    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    pub fn share_ends(&self) -> Arc<Ends> {
        Arc::clone(&self.ends)
    }

    /// Ends reading after this time, unless a request comes before.
    pub fn end_after(&self, time: Duration) {
        self.ends.deadline.set(time);
    }

    /// Why reading or writing failed, if it was not the client that ended it.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The connection inside one of pingora's streams, if it is one of ours.
    pub fn of(stream: &Stream) -> Option<&Self> {
        stream.as_any().downcast_ref()
    }

    /// What is known of the connection that a request came on.
    pub fn ends_of(session: &ServerSession) -> Option<&Ends> {
        match session {
            ServerSession::H1(h1) => Self::of(h1.stream()).map(Self::ends),
            ServerSession::H2(h2) => {
                let told = h2.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?;
                told.downcast_ref::<Arc<Ends>>().map(Arc::as_ref)
            }
            _ => None,
        }
    }

    /// One of pingora's streams as the connection that it is.
    pub fn from(stream: Stream) -> Option<Box<Self>> {
        stream.into_any().downcast::<Self>().ok()
    }

    /// Takes the socket back, with its slot and what was read of it already. The caller has flushed
    /// what it wrote.
    pub fn into_socket(stream: Stream) -> Option<(Socket, Option<Slot>, Vec<u8>)> {
        let connection = Self::from(stream)?;
        Some((connection.stream.into_inner(), connection.slot, connection.ahead.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(read) = this.poll_message(cx, buf) {
            return Poll::Ready(read);
        }
        let deadline = Some(this.ends.deadline.0.load(Relaxed)).filter(|at| *at != 0);
        let too_slow = if this.framing.is_done() { None } else { this.reading.too_slow_at() };
        let Some(at) = deadline.into_iter().chain(too_slow).min() else { return Poll::Pending };
        ready!(this.reading.poll_until(cx, at));
        if too_slow == Some(at) {
            this.fault = Some(BODY_TOO_SLOW);
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the deadline has passed")))
    }
}

impl Connection {
    /// After a write: counts what went out, or ends it if the other side took too long to take it.
    fn after_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = written {
            self.writing.moved(written.as_ref().map_or(0, bytes));
            return Poll::Ready(written);
        }
        let Some(at) = self.writing.too_slow_at() else { return Poll::Pending };
        ready!(self.writing.poll_until(cx, at));
        self.fault = Some(ANSWER_TOO_SLOW);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, ANSWER_TOO_SLOW.why)))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.after_write(cx, written, |bytes| *bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.after_write(cx, written, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.after_write(cx, flushed, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // In TLS there is something to be said, and a client that takes nothing may not take for ever.
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.after_write(cx, shut, |()| 0)
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        // The other side may be gone already; there is nobody left to tell.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().as_raw_fd()
    }
}

impl Ssl for Connection {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(if self.ends.is_http2() { ALPN::H2 } else { ALPN::H1 })
    }
}

impl Peek for Connection {}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    /// The one place where the streams of an HTTP/2 connection can find something of ours.
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        if !self.ends.is_http2() {
            return None;
        }
        let nothing = ResponseHeader::build(StatusCode::OK, None).ok()?;
        Some(Arc::new(ProxyDigest::new(Box::new(nothing), Some(Box::new(Arc::clone(&self.ends))))))
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection from {} to {}", self.ends.peer, self.ends.local)
    }
}

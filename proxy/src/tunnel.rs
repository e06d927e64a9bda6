//! A tunnel: an upgraded connection, as a small task that owns two sockets and no buffer while idle.

mod registry;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

pub use registry::{Place, Tunnels};

use crate::clock;
use crate::vitals::{AppVitals, ClosedBy, InstanceVitals};

/// What one read moves at most; also the most that is held of a direction whose reader is slow.
const CHUNK: usize = 16 * 1024;
/// How long one direction may be silent after the other has ended: a dead app says no more than FIN.
const HALF_OPEN_MAX: Duration = Duration::from_secs(5);

/// What is known of an open tunnel from outside its task.
#[derive(Debug)]
pub struct Tunnel {
    pub app: Arc<AppVitals>,
    pub instance: Arc<InstanceVitals>,
    idle_limit: Duration,
    /// When a byte last moved, by [`clock::millis`].
    moved_at: AtomicU64,
    /// Why it was told to close, as an index into [`ClosedBy::ALL`] plus one.
    told: AtomicU8,
    /// Which side ended its direction first, in the same way.
    ended_by: AtomicU8,
    bell: Notify,
}

/// What a tunnel carried, when it is over.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    pub by: ClosedBy,
    /// From the client to the app.
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// One side of a tunnel: its socket, and what was already read from it before the tunnel began.
#[derive(Debug)]
pub struct Side {
    pub socket: TcpStream,
    pub early: Vec<u8>,
}

impl Tunnel {
    pub fn new(app: Arc<AppVitals>, instance: Arc<InstanceVitals>, idle_limit: Duration) -> Self {
        app.sockets.fetch_add(1, Relaxed);
        app.sockets_opened.fetch_add(1, Relaxed);
        instance.tunnels.fetch_add(1, Relaxed);
        let moved_at = AtomicU64::new(clock::millis());
        Self { app, instance, idle_limit, moved_at, told: AtomicU8::new(0), ended_by: AtomicU8::new(0), bell: Notify::new() }
    }

    /// Tells the tunnel to close. The first reason stands.
    pub fn close(&self, by: ClosedBy) {
        note(&self.told, by);
        self.bell.notify_one();
    }

    /// Who ends the tunnel now: its idle limit, or the side that ended its direction and left the
    /// other with nothing to say. `None`: it is in use.
    pub fn is_over(&self, now_millis: u64) -> Option<ClosedBy> {
        let silent = Duration::from_millis(now_millis.saturating_sub(self.moved_at.load(Relaxed)));
        match noted(&self.ended_by).filter(|_| silent >= HALF_OPEN_MAX) {
            Some(ended_by) => Some(ended_by),
            None => (silent >= self.idle_limit).then_some(ClosedBy::Idle),
        }
    }

    /// Carries bytes both ways until one side or the edge ends it.
    pub async fn carry(&self, client: Side, app: Side) -> Closed {
        let (mut client, mut upstream) = (client, app);
        let mut inward = Flow::new(std::mem::take(&mut client.early));
        let mut outward = Flow::new(std::mem::take(&mut upstream.early));
        let mut told = pin!(self.bell.notified());
        let by = poll_fn(|cx| {
            if told.as_mut().poll(cx).is_ready() {
                return Poll::Ready(noted(&self.told).unwrap_or(ClosedBy::Error));
            }
            let moved = (inward.bytes, outward.bytes);
            let ended = [
                inward.pump(cx, &mut client.socket, &mut upstream.socket),
                outward.pump(cx, &mut upstream.socket, &mut client.socket),
            ];
            if moved != (inward.bytes, outward.bytes) {
                self.moved_at.store(clock::millis(), Relaxed);
                self.app.bytes_in.fetch_add(inward.bytes - moved.0, Relaxed);
                self.app.bytes_out.fetch_add(outward.bytes - moved.1, Relaxed);
            }
            for (flow, side) in [(&inward, ClosedBy::Client), (&outward, ClosedBy::App)] {
                if flow.state != FlowState::Open {
                    note(&self.ended_by, side);
                }
            }
            match ended {
                [Poll::Ready(Err(_)), _] if !inward.reading => Poll::Ready(ClosedBy::App),
                [_, Poll::Ready(Err(_))] if !outward.reading => Poll::Ready(ClosedBy::Client),
                [Poll::Ready(Err(_)), _] => Poll::Ready(ClosedBy::Client),
                [_, Poll::Ready(Err(_))] => Poll::Ready(ClosedBy::App),
                [Poll::Ready(Ok(())), Poll::Ready(Ok(()))] => Poll::Ready(noted(&self.ended_by).unwrap_or(ClosedBy::Error)),
                _ => Poll::Pending,
            }
        })
        .await;
        // Both ends were flushed or failed; a FIN to a side that is gone has nobody to tell.
        let _ = client.socket.shutdown().await;
        let _ = upstream.socket.shutdown().await;
        Closed { by, bytes_in: inward.bytes, bytes_out: outward.bytes }
    }
}

/// Keeps the first reason that is noted.
fn note(cell: &AtomicU8, by: ClosedBy) {
    let _ = cell.compare_exchange(0, by as u8 + 1, Relaxed, Relaxed);
}

fn noted(cell: &AtomicU8) -> Option<ClosedBy> {
    ClosedBy::ALL.get(usize::from(cell.load(Relaxed)).checked_sub(1)?).copied()
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.app.sockets.fetch_sub(1, Relaxed);
        self.instance.tunnels.fetch_sub(1, Relaxed);
    }
}

/// One direction.
struct Flow {
    /// Read, but not written yet: the writer is slow. Empty otherwise, and then without memory.
    unsent: Vec<u8>,
    sent: usize,
    bytes: u64,
    state: FlowState,
    /// Which side failed, if one does: true while reading, false while writing.
    reading: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FlowState {
    Open,
    /// The reader has ended; the writer is to be told.
    Ending,
    Ended,
}

impl Flow {
    fn new(early: Vec<u8>) -> Self {
        Self { bytes: early.len() as u64, unsent: early, sent: 0, state: FlowState::Open, reading: true }
    }

    /// Moves what can be moved. Ready when the direction is over: passed on, or broken.
    fn pump(&mut self, cx: &mut Context<'_>, from: &mut TcpStream, to: &mut TcpStream) -> Poll<io::Result<()>> {
        loop {
            self.reading = false;
            ready!(self.poll_send_rest(cx, to))?;
            match self.state {
                FlowState::Ended => return Poll::Ready(Ok(())),
                FlowState::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = FlowState::Ended;
                    continue;
                }
                FlowState::Open => {}
            }
            self.reading = true;
            // On the stack: nothing is kept of a tunnel in which nothing moves.
            let mut chunk = [MaybeUninit::<u8>::uninit(); CHUNK];
            let mut chunk = ReadBuf::uninit(&mut chunk);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut chunk))?;
            let read = chunk.filled();
            if read.is_empty() {
                self.state = FlowState::Ending;
                continue;
            }
            self.bytes += read.len() as u64;
            self.reading = false;
            let written = match Pin::new(&mut *to).poll_write(cx, read) {
                Poll::Ready(written) => written?,
                Poll::Pending => 0,
            };
            self.unsent.extend_from_slice(read.get(written..).unwrap_or_default());
        }
    }

    fn poll_send_rest(&mut self, cx: &mut Context<'_>, to: &mut TcpStream) -> Poll<io::Result<()>> {
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        if self.sent > 0 {
            self.unsent = Vec::new();
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }
}

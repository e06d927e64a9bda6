//! A tunnel: an upgraded connection, as a small task that owns two sockets and no buffer while idle.

mod flow;
pub mod frames;
mod orphan;
mod registry;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use self::flow::Flow;
use self::frames::{GOING_AWAY, GOING_AWAY_MASKED};
pub use self::orphan::Orphan;
use self::orphan::{RESET_AFTER, see_off};
pub use self::registry::{Registration, Tunnels, close_over, take_silent};
use crate::clock;
use crate::socket::Socket;
use crate::vitals::{AppVitals, ClosedBy, InstanceVitals};

/// How long an app may take to answer a close frame.
const PARTING_MAX: Duration = Duration::from_secs(2);
/// How long one direction may be silent after the other has ended: a dead app says no more than FIN.
const HALF_OPEN_MAX: Duration = Duration::from_secs(5);

/// What is known of an open tunnel from outside its task.
#[derive(Debug)]
pub struct Tunnel {
    pub app: Arc<AppVitals>,
    pub instance: Arc<InstanceVitals>,
    terms: Terms,
    /// Whether the instance still counts it.
    at_instance: AtomicBool,
    /// By [`clock::millis`].
    opened_at: u64,
    /// When a byte last moved, by [`clock::millis`].
    moved_at: AtomicU64,
    /// Why it was told to close, as an index into [`ClosedBy::ALL`] plus one.
    told: AtomicU8,
    /// When its client is reset if it has not left by then, by [`clock::millis`]; 0 until it was told to close.
    reset_at: AtomicU64,
    /// Which side ended its direction first, in the same way.
    ended_by: AtomicU8,
    bell: Notify,
}

/// What its app allows a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The longest silence, both directions counted.
    pub idle_limit: Duration,
    /// How long its client may be kept when its instance dies under it; zero: not at all.
    pub hold: Duration,
}

/// What a tunnel carried, when it is over.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    pub by: ClosedBy,
    /// From the client to the app.
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub frames_in: u64,
    pub frames_out: u64,
}

/// One side of a tunnel: its socket, and what was already read from it before the tunnel began.
#[derive(Debug)]
pub struct Side {
    pub socket: Socket,
    pub early: Vec<u8>,
}

impl Tunnel {
    pub fn new(app: Arc<AppVitals>, instance: Arc<InstanceVitals>, terms: Terms) -> Self {
        app.sockets.fetch_add(1, Relaxed);
        instance.tunnels.fetch_add(1, Relaxed);
        app.books.open();
        instance.books.open();
        let opened_at = clock::millis();
        Self {
            app,
            instance,
            terms,
            at_instance: AtomicBool::new(true),
            opened_at,
            moved_at: AtomicU64::new(opened_at),
            told: AtomicU8::new(0),
            reset_at: AtomicU64::new(0),
            ended_by: AtomicU8::new(0),
            bell: Notify::new(),
        }
    }

    /// The instance is gone from under the tunnel: from now on it is its app's alone.
    pub fn leave_instance(&self) {
        if self.at_instance.swap(false, Relaxed) {
            self.instance.tunnels.fetch_sub(1, Relaxed);
        }
    }

    /// How long its client may be kept when its instance dies.
    pub fn hold_max(&self) -> Duration {
        self.terms.hold
    }

    /// Waits until it is told to close.
    pub async fn told(&self) {
        self.bell.notified().await;
    }

    /// Tells the tunnel to close, and to be gone `within` this time: what its app has sent by now reaches
    /// the client, however slow that is, until [`RESET_AFTER`] beyond it. The first reason stands.
    pub fn close(&self, by: ClosedBy, within: Duration) {
        if note(&self.told, by) {
            let reset_after = u64::try_from((within + RESET_AFTER).as_millis()).unwrap_or(u64::MAX / 2);
            self.reset_at.store(clock::millis() + reset_after, Relaxed);
        }
        self.bell.notify_one();
    }

    /// By [`clock::millis`].
    pub fn opened_at(&self) -> u64 {
        self.opened_at
    }

    fn reset_at(&self) -> Instant {
        let left = match self.reset_at.load(Relaxed) {
            0 => RESET_AFTER,
            at => Duration::from_millis(at.saturating_sub(clock::millis())),
        };
        Instant::now() + left
    }

    /// When a byte last moved, by [`clock::millis`].
    pub fn moved_at(&self) -> u64 {
        self.moved_at.load(Relaxed)
    }

    /// Whether it goes on: it was not told to close, and its instance has not left it.
    pub fn is_open(&self) -> bool {
        noted(&self.told).is_none() && self.at_instance.load(Relaxed)
    }

    /// Who ends the tunnel now: its idle limit, or the side that ended its direction and left the
    /// other with nothing to say. `None`: it is in use.
    pub fn is_over(&self, now_millis: u64) -> Option<ClosedBy> {
        if !self.at_instance.load(Relaxed) {
            // It waits for an instance, and knows for how long.
            return None;
        }
        let silent = Duration::from_millis(now_millis.saturating_sub(self.moved_at.load(Relaxed)));
        match noted(&self.ended_by).filter(|_| silent >= HALF_OPEN_MAX) {
            Some(ended_by) => Some(ended_by),
            None => (silent >= self.terms.idle_limit).then_some(ClosedBy::Idle),
        }
    }

    /// Carries bytes both ways until one side or the edge ends it.
    ///
    /// What comes at its end is boxed: it is larger than all that an idle tunnel keeps.
    ///
    /// Gives the client's socket back if the app's broke and the client, who does not know yet, may be kept.
    pub async fn carry(&self, client: Side, app: Side) -> (Closed, Option<Orphan>) {
        let may_keep = !self.terms.hold.is_zero();
        let (mut inward, mut outward) = (Flow::new(client.early), Flow::new(app.early));
        let (mut client, mut app) = (client.socket, app.socket);
        let mut told = pin!(self.bell.notified());
        let ended = poll_fn(|cx| {
            if told.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            let moved = (inward.bytes, outward.bytes);
            let ended = [
                inward.pump(cx, &mut client, &mut app, false),
                outward.pump(cx, &mut app, &mut client, may_keep && inward.is_open()),
            ];
            self.count(&inward, &outward, moved);
            // Whoever ended first ended it, whatever broke because of that.
            let first = noted(&self.ended_by);
            match ended {
                [Poll::Ready(Err(broken)), _] => {
                    Poll::Ready(Some(first.unwrap_or_else(|| broken.side(ClosedBy::Client, ClosedBy::App))))
                }
                [_, Poll::Ready(Err(broken))] => {
                    Poll::Ready(Some(first.unwrap_or_else(|| broken.side(ClosedBy::App, ClosedBy::Client))))
                }
                [Poll::Ready(Ok(())), Poll::Ready(Ok(()))] => Poll::Ready(Some(first.unwrap_or(ClosedBy::Error))),
                _ => Poll::Pending,
            }
        })
        .await;
        let by = match ended {
            Some(by) => by,
            None => {
                Box::pin(self.part(&mut inward, &mut outward, &mut client, &mut app)).await;
                noted(&self.told).unwrap_or(ClosedBy::Error)
            }
        };
        let closed = Closed {
            by,
            bytes_in: inward.bytes,
            bytes_out: outward.bytes,
            frames_in: inward.frames.count,
            frames_out: outward.frames.count,
        };
        // Both ends were flushed or failed; a FIN to a side that is gone has nobody to tell.
        let _ = app.shutdown().await;
        drop(app);
        let orphaned = may_keep && by == ClosedBy::App && inward.is_open() && !outward.frames.closed;
        if orphaned {
            return (closed, Some(Orphan { client, between_frames: outward.frames.is_between() }));
        }
        // To the instance it is over; only its client may take longer to understand.
        self.leave_instance();
        Box::pin(see_off(client, self.reset_at())).await;
        (closed, None)
    }

    /// Takes leave as the protocol wants it: the app is told "going away" between two frames, what it
    /// still says reaches the client, and its own close frame is the client's. An app that does not
    /// answer is not waited for: then the client hears it from the edge, after the frame that has begun.
    /// A client that is slow is waited for, until it is reset.
    async fn part(&self, inward: &mut Flow, outward: &mut Flow, client: &mut Socket, app: &mut Socket) {
        let reset_at = self.reset_at();
        let mut asked = false;
        let mut patience = pin!(sleep(PARTING_MAX));
        let parting = poll_fn(|cx| {
            let moved = (inward.bytes, outward.bytes);
            let rest = inward.finish_frame(cx, client, app);
            if rest.is_ready() && !asked {
                asked = true;
                inward.say(&GOING_AWAY_MASKED);
                let _ = inward.finish_frame(cx, client, app);
            }
            let answer = outward.pump(cx, app, client, false);
            self.count(inward, outward, moved);
            if answer.is_ready() || (outward.frames.closed && outward.is_sent()) {
                return Poll::Ready(());
            }
            while patience.as_mut().poll(cx).is_ready() {
                // While the client is slow to take what the app said, the app is not late.
                if outward.is_sent() {
                    return Poll::Ready(());
                }
                patience.as_mut().reset(Instant::now() + PARTING_MAX);
            }
            Poll::Pending
        });
        let _ = timeout_at(reset_at, parting).await;
        let _ = timeout_at(reset_at, poll_fn(|cx| outward.finish_frame(cx, app, client))).await;
        if !outward.frames.closed && outward.frames.is_between() {
            outward.say(&GOING_AWAY);
            let _ = timeout_at(reset_at, poll_fn(|cx| outward.poll_send(cx, client))).await;
        }
    }

    /// Takes what has moved into the books.
    fn count(&self, inward: &Flow, outward: &Flow, (before_in, before_out): (u64, u64)) {
        if (inward.bytes, outward.bytes) != (before_in, before_out) {
            self.moved_at.store(clock::millis(), Relaxed);
            for books in [&self.app.books, &self.instance.books] {
                books.carry(inward.bytes - before_in, outward.bytes - before_out);
            }
        }
        if !inward.is_open() {
            note(&self.ended_by, ClosedBy::Client);
        }
        if !outward.is_open() {
            note(&self.ended_by, ClosedBy::App);
        }
    }
}

/// Keeps the first reason that is noted; says whether this was it.
fn note(cell: &AtomicU8, by: ClosedBy) -> bool {
    cell.compare_exchange(0, by as u8 + 1, Relaxed, Relaxed).is_ok()
}

fn noted(cell: &AtomicU8) -> Option<ClosedBy> {
    ClosedBy::ALL.get(usize::from(cell.load(Relaxed)).checked_sub(1)?).copied()
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.app.sockets.fetch_sub(1, Relaxed);
        self.leave_instance();
    }
}

//! What of a connection's bytes belongs to the message at hand: a session gets to see no byte more, so
//! that nobody can mistake the next request for a body, or a body for the next request.

use std::future::poll_fn;
use std::io;
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use karman_contract::code::Code;
use tokio::io::{AsyncRead, ReadBuf};

use super::{Connection, Fault};
use crate::framing::Framing;
use crate::looks::Look;
use crate::patience::Patience;

/// Read at once when a head is awaited: most fit. It stands on the stack, so that waiting costs no memory.
const READ_BYTES: usize = 4_096;

/// Read at once of a body.
const BODY_READ_BYTES: usize = 16_384;

impl Connection {
    /// What was read and belongs to no session yet.
    pub fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Reads more of what a client sends, to the end of [`Self::ahead`]. `false` at the end.
    pub async fn read_ahead(&mut self) -> io::Result<bool> {
        if self.ahead.is_empty() {
            // Between two messages nobody is slow.
            self.reading.start();
            return poll_fn(|cx| self.poll_ahead(cx)).await;
        }
        poll_fn(|cx| self.poll_more(cx)).await
    }

    /// Reads what has come by now, to the end of [`Self::ahead`], its client's rest over or not. `None`: nothing has.
    pub fn look_ahead(&mut self) -> Option<io::Result<bool>> {
        let before = self.ahead.len();
        let Poll::Ready(read) = self.poll_ahead(&mut Context::from_waker(Waker::noop())) else { return None };
        self.reading.moved(self.ahead.len() - before);
        Some(read)
    }

    /// The body of a message begins, whose head is still ahead.
    pub fn start_body(&mut self) {
        self.reading.start();
    }

    /// How much longer more of a message is waited for, and whether it comes slowly.
    pub fn patience(&self) -> (Duration, bool) {
        let left = self.reading.patience.as_ref().map_or(Duration::MAX, Patience::left);
        (left, self.reading.is_slow())
    }

    /// What comes wakes nobody until it is waited for; unless the client is waited for now, to take something.
    pub fn leave_alone(&mut self) {
        if !self.writing.is_waiting() {
            self.stream.get_mut().leave_alone();
        }
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut bytes))?;
        self.ahead.extend_from_slice(bytes.filled());
        Poll::Ready(Ok(!bytes.filled().is_empty()))
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let before = self.ahead.len();
        let Poll::Ready(read) = self.poll_rested(cx, Look::Unusable, Self::poll_ahead) else {
            self.reading.too_slow_at();
            return Poll::Pending;
        };
        self.reading.moved(self.ahead.len() - before);
        Poll::Ready(read)
    }

    /// Reads when there is something; of a client that is slow, when its rest is over. What comes in between costs nothing:
    /// a thousand clients that send a byte each in the same moment would else keep all others waiting.
    fn poll_rested<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: Look,
        mut read: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        while self.reading.is_slow() {
            if self.reading.poll_rest(cx, look).is_pending() {
                self.leave_alone();
                return Poll::Pending;
            }
            // The next rest wakes us, if this look finds nothing.
            let found = read(self, &mut Context::from_waker(Waker::noop()));
            if found.is_ready() {
                return found;
            }
        }
        read(self, cx)
    }

    /// Forgets what was read ahead; says how much it was.
    pub fn drop_ahead(&mut self) -> usize {
        mem::take(&mut self.ahead).len()
    }

    /// Takes a head off [`Self::ahead`]; what follows it belongs to its message as `framing` says.
    pub fn start_message(&mut self, head_bytes: usize, framing: Framing) -> BytesMut {
        self.framing = framing;
        self.fault = None;
        // How long its beginning was waited for counts; from here on we wait only where more of it is asked for.
        self.reading.moved(0);
        self.writing.start();
        if head_bytes >= self.ahead.len() {
            return mem::take(&mut self.ahead);
        }
        self.ahead.split_to(head_bytes)
    }

    /// Reads what belongs to the message at hand.
    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.framing == Framing::Open {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        if self.fault.is_some_and(|fault| fault.code == Code::BadRequest) {
            return self.poll_to_end(cx);
        }
        if self.framing.is_done() {
            // What a client says before it was answered is the next request: it has to wait for its turn.
            // We only look whether it is gone.
            let said_more = !self.ahead.is_empty() || ready!(self.poll_ahead(cx))?;
            return if said_more { Poll::Pending } else { Poll::Ready(Ok(())) };
        }
        if self.ahead.is_empty() { self.poll_body(cx, buf) } else { Poll::Ready(self.take_ahead(buf)) }
    }

    /// Nobody knows where the message ends: all that comes is read and forgotten.
    fn poll_to_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while ready!(self.poll_ahead(cx))? {
            self.ahead.clear();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = self.framing.room(buf.remaining()).min(BODY_READ_BYTES);
        // By way of the stack: pages of pingora's 64 KiB that no byte of a body came into are never touched.
        let mut bytes = [const { MaybeUninit::uninit() }; BODY_READ_BYTES];
        let mut body = ReadBuf::uninit(bytes.get_mut(..room).unwrap_or_default());
        let look = if self.framing.is_within_chunk() { Look::Unusable } else { Look::Piece };
        ready!(self.poll_rested(cx, look, |this, cx| Pin::new(&mut this.stream).poll_read(cx, &mut body)))?;
        let read = body.filled();
        self.reading.moved(read.len());
        let taken = take(&mut self.framing, &mut self.fault, read)?;
        self.ahead.extend_from_slice(read.get(taken..).unwrap_or_default());
        buf.put_slice(read.get(..taken).unwrap_or_default());
        Poll::Ready(Ok(()))
    }

    fn take_ahead(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let room = self.ahead.len().min(buf.remaining());
        let bytes = self.ahead.get(..room).unwrap_or_default();
        let taken = take(&mut self.framing, &mut self.fault, bytes)?;
        buf.put_slice(bytes.get(..taken).unwrap_or_default());
        self.ahead.advance(taken);
        Ok(())
    }
}

fn take(framing: &mut Framing, fault: &mut Option<Fault>, bytes: &[u8]) -> io::Result<usize> {
    framing.take(bytes).map_err(|bad| {
        *fault = Some(Fault { code: Code::BadRequest, why: bad.0 });
        io::Error::new(io::ErrorKind::InvalidData, bad)
    })
}

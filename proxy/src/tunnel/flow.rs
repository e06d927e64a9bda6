//! One direction of a tunnel: reads here, writes there, and knows where it stands between frames.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use crate::socket::Socket;
use crate::vitals::ClosedBy;

/// What one read moves at most; also the most that is held of a direction whose reader is slow.
const CHUNK: usize = 16 * 1024;

pub(super) struct Flow {
    /// Read, but not written yet: the writer is slow. Empty otherwise, and then without memory.
    unsent: Vec<u8>,
    sent: usize,
    pub(super) bytes: u64,
    pub(super) frames: Frames,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The reader has ended; the writer is to be told.
    Ending,
    Ended,
}

/// Which side of a direction broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Reading,
    Writing,
}

impl Broken {
    pub(super) fn side(self, reader: ClosedBy, writer: ClosedBy) -> ClosedBy {
        match self {
            Self::Reading => reader,
            Self::Writing => writer,
        }
    }
}

impl Flow {
    pub(super) fn new(early: Vec<u8>) -> Self {
        let mut frames = Frames::default();
        frames.follow(&early);
        Self { bytes: early.len() as u64, unsent: early, sent: 0, frames, state: State::Open }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(super) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Puts bytes of ours in line. They are no traffic: nothing counts them.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Moves what can be moved. Ready when the direction is over: passed on, or broken.
    ///
    /// With `keeps_writer` an end without a close frame is not passed on: the writer hears nothing of it.
    pub(super) fn pump(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Socket,
        to: &mut Socket,
        keeps_writer: bool,
    ) -> Poll<Result<(), Broken>> {
        loop {
            ready!(self.poll_send(cx, to)).map_err(|_| Broken::Writing)?;
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending if keeps_writer && !self.frames.closed => return Poll::Ready(Err(Broken::Reading)),
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Broken::Writing)?;
                    self.state = State::Ended;
                }
                State::Open => ready!(self.poll_move(cx, from, to, CHUNK))?,
            }
        }
    }

    /// Moves no more than belongs to the frame that has begun. Ready when the direction stands between
    /// frames and all is sent, or when it broke.
    pub(super) fn finish_frame(&mut self, cx: &mut Context<'_>, from: &mut Socket, to: &mut Socket) -> Poll<()> {
        loop {
            if ready!(self.poll_send(cx, to)).is_err() {
                return Poll::Ready(());
            }
            let missing = self.frames.missing().min(CHUNK);
            if missing == 0 || self.state != State::Open || ready!(self.poll_move(cx, from, to, missing)).is_err() {
                return Poll::Ready(());
            }
        }
    }

    /// Reads once, and writes of it what the other side takes.
    fn poll_move(&mut self, cx: &mut Context<'_>, from: &mut Socket, to: &mut Socket, most: usize) -> Poll<Result<(), Broken>> {
        // On the stack: nothing is kept of a tunnel in which nothing moves.
        let mut chunk = [MaybeUninit::<u8>::uninit(); CHUNK];
        let mut chunk = ReadBuf::uninit(chunk.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut *from).poll_read(cx, &mut chunk)).map_err(|_| Broken::Reading)?;
        let read = chunk.filled();
        if read.is_empty() {
            self.state = State::Ending;
            return Poll::Ready(Ok(()));
        }
        self.bytes += read.len() as u64;
        self.frames.follow(read);
        let written = match Pin::new(&mut *to).poll_write(cx, read) {
            Poll::Ready(written) => written.map_err(|_| Broken::Writing)?,
            Poll::Pending => 0,
        };
        self.unsent.extend_from_slice(read.get(written..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }

    /// Ready when nothing waits to be sent, neither here nor in the other side's TLS.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, to: &mut Socket) -> Poll<io::Result<()>> {
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
        Pin::new(&mut *to).poll_flush(cx)
    }
}

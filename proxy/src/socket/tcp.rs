//! A TCP socket that the event loop watches, or does not: what comes to one that is not watched wakes nobody.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice, Read};
use std::mem;
use std::net::TcpStream as Unwatched;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream as Watched;

/// A socket, watched unless it was left alone since it was last waited for.
#[derive(Debug)]
pub struct Tcp {
    state: State,
    /// Somebody waits until more can be written.
    has_writer: bool,
}

#[derive(Debug)]
enum State {
    Watched(Watched),
    Unwatched(Unwatched),
    /// The event loop has failed to take it, or to give it back.
    Lost,
}

impl Tcp {
    pub fn new(socket: Watched) -> Self {
        Self { state: State::Watched(socket), has_writer: false }
    }

    /// Has it watched no more until somebody waits for it. What is there by then can be read all the while.
    pub fn leave_alone(&mut self) {
        if matches!(self.state, State::Watched(_)) && !self.has_writer {
            self.state = match mem::replace(&mut self.state, State::Lost) {
                State::Watched(socket) => socket.into_std().map_or(State::Lost, State::Unwatched),
                other => other,
            };
        }
    }

    /// Makes the end of the socket a reset.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        let linger = Some(Duration::ZERO);
        match &self.state {
            State::Watched(socket) => Ok(set_socket_linger(socket, linger)?),
            State::Unwatched(socket) => Ok(set_socket_linger(socket, linger)?),
            State::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn watched(&mut self) -> io::Result<Pin<&mut Watched>> {
        if matches!(self.state, State::Unwatched(_)) {
            self.state = match mem::replace(&mut self.state, State::Lost) {
                State::Unwatched(socket) => State::Watched(Watched::from_std(socket)?),
                other => other,
            };
        }
        match &mut self.state {
            State::Watched(socket) => Ok(Pin::new(socket)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes by the event loop, and remembers whether it has to say when there is room.
    fn poll_out<T>(&mut self, write: impl FnOnce(Pin<&mut Watched>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let written = write(self.watched()?);
        self.has_writer = written.is_pending();
        written
    }
}

impl AsRawFd for Tcp {
    fn as_raw_fd(&self) -> RawFd {
        match &self.state {
            State::Watched(socket) => socket.as_raw_fd(),
            State::Unwatched(socket) => socket.as_raw_fd(),
            State::Lost => -1,
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let State::Unwatched(socket) = &mut self.state {
            match socket.read(buf.initialize_unfilled()) {
                Ok(bytes) => {
                    buf.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        self.watched()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_out(|socket| socket.poll_write(cx, buf))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_out(|socket| socket.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing of ours stands between it and the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_out(|socket| socket.poll_shutdown(cx))
    }
}

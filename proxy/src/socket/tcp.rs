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
pub enum Tcp {
    Watched(Watched),
    Unwatched(Unwatched),
    /// The event loop has failed to take it, or to give it back.
    Lost,
}

impl Tcp {
    /// Has it watched no more until somebody waits for it; who waits for it now hears nothing. What has come by then can be
    /// read all the while.
    pub fn leave_alone(&mut self) {
        *self = match mem::replace(self, Self::Lost) {
            Self::Watched(socket) => socket.into_std().map_or(Self::Lost, Self::Unwatched),
            other => other,
        };
    }

    /// Makes the end of the socket a reset.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        let linger = Some(Duration::ZERO);
        match self {
            Self::Watched(socket) => Ok(set_socket_linger(socket, linger)?),
            Self::Unwatched(socket) => Ok(set_socket_linger(socket, linger)?),
            Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn watched(&mut self) -> io::Result<Pin<&mut Watched>> {
        *self = match mem::replace(self, Self::Lost) {
            Self::Unwatched(socket) => Self::Watched(Watched::from_std(socket)?),
            other => other,
        };
        match self {
            Self::Watched(socket) => Ok(Pin::new(socket)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsRawFd for Tcp {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Watched(socket) => socket.as_raw_fd(),
            Self::Unwatched(socket) => socket.as_raw_fd(),
            Self::Lost => -1,
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Self::Unwatched(socket) = &mut *self {
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
        self.watched()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.watched()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing of ours stands between it and the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_shutdown(cx)
    }
}

//! Sockets that stand open: they answer the app's pings, parse every frame, and note when and how they end.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;

use super::socket::{self, Socket};
use crate::contender::HOST;

/// Sockets that are being opened at once.
const AT_ONCE: usize = 16;

/// What all of them noted.
#[derive(Debug)]
pub(crate) struct Standing {
    notes: Arc<Notes>,
    // Ends with this value, and takes the sockets along.
    runtime: Runtime,
}

#[derive(Debug, Default)]
struct Notes {
    open: AtomicU32,
    ends: Mutex<Vec<End>>,
}

/// The end of one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) at: Instant,
    /// With a close frame, between two frames; otherwise it was cut.
    pub(crate) clean: bool,
}

impl Standing {
    /// Opens `count` sockets of the lab's app, as fast as it goes.
    pub(crate) fn open(address: SocketAddr, count: u32) -> io::Result<Self> {
        let standing = Self::new()?;
        standing.add(address, HOST, count)?;
        Ok(standing)
    }

    /// Without any socket yet.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { notes: Arc::default(), runtime })
    }

    /// Opens more, which connect as DDP clients do; stops at the first that cannot be opened.
    pub(crate) fn add(&self, address: SocketAddr, host: &str, count: u32) -> io::Result<()> {
        self.runtime.block_on(async {
            let opening = stream::iter(0..count).map(|_| async {
                let (mut socket, _) = socket::open_at(address, host, "/websocket", None).await?;
                socket::connect(&mut socket).await?;
                self.notes.open.fetch_add(1, Relaxed);
                tokio::spawn(stand(socket, Arc::clone(&self.notes)));
                Ok::<_, io::Error>(())
            });
            opening.buffer_unordered(AT_ONCE).try_collect::<()>().await
        })
    }

    /// How many are open.
    pub(crate) fn count(&self) -> u32 {
        self.notes.open.load(Relaxed)
    }

    /// In the order in which they came.
    pub(crate) fn ends(&self) -> Vec<End> {
        self.notes.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn stand(mut socket: Socket, notes: Arc<Notes>) {
    let mut clean = false;
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Text(text)) if text.as_str() == r#"{"msg":"ping"}"# => {
                let _ = socket.send(Message::text(r#"{"msg":"pong"}"#)).await;
            }
            Ok(Message::Close(_)) => clean = true,
            Ok(_) => {}
            // Cut within a frame, reset, or closed without a word.
            Err(_) => break,
        }
    }
    notes.open.fetch_sub(1, Relaxed);
    notes.ends.lock().unwrap_or_else(PoisonError::into_inner).push(End { at: Instant::now(), clean });
}

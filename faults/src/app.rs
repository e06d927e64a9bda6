//! An app that does what a test says, one connection after the other, and notes what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::message::{read_head, read_message};
use crate::world::World;

pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Ends with the test, or before if it is dropped.
pub struct Scripted {
    pub address: SocketAddr,
    seen: Seen,
    _world: World,
}

impl Scripted {
    /// `act` gets each connection with its number from 0, and what reads from it and notes.
    pub fn start<F>(act: impl Fn(usize, TcpStream, Seen) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), act)
    }

    pub fn start_at<F>(at: SocketAddr, act: impl Fn(usize, TcpStream, Seen) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let seen = Seen::default();
        let noting = seen.clone();
        let world = World::start(at, move |n, stream| {
            noting.notes().connections += 1;
            act(n, stream, noting.clone())
        });
        Self { address: world.address, seen, _world: world }
    }

    /// Answers every message, once it is there whole, with these bytes.
    pub fn answering(answer: &'static [u8]) -> Self {
        Self::answering_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    pub fn answering_at(at: SocketAddr, answer: &'static [u8]) -> Self {
        Self::start_at(at, move |_, mut stream, seen| async move {
            while seen.read_message(&mut stream).await {
                if stream.write_all(answer).await.is_err() || answer.windows(17).any(|part| part == b"connection: close") {
                    return;
                }
            }
        })
    }

    /// What it has read so far: heads, or whole messages, as its script reads them.
    pub fn seen(&self) -> Vec<String> {
        self.seen.notes().read.clone()
    }

    pub fn since(&self, count: usize) -> Vec<String> {
        self.seen.notes().read[count..].to_vec()
    }

    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// How many it accepted so far.
    pub fn connections(&self) -> usize {
        self.seen.notes().connections
    }
}

/// Where what arrives is noted.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    read: Vec<String>,
    connections: usize,
}

impl Seen {
    pub fn len(&self) -> usize {
        self.notes().read.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn last(&self) -> String {
        self.notes().read.last().cloned().unwrap_or_default()
    }

    /// Reads one head; `false` if the connection ended before it was whole.
    pub async fn read(&self, stream: &mut TcpStream) -> bool {
        let head = read_head(stream).await.map(|head| String::from_utf8(head).unwrap());
        self.note(head)
    }

    /// Reads one message with its body; `false` if the connection ended before it was whole.
    pub async fn read_message(&self, stream: &mut TcpStream) -> bool {
        let message = read_message(stream).await;
        self.note(message)
    }

    fn note(&self, read: Option<String>) -> bool {
        let is_whole = read.is_some();
        self.notes().read.extend(read);
        is_whole
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap()
    }
}

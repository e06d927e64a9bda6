//! The threads that serve clients: each has its share of the connections, and one event loop.
//!
//! What the kernel tells a thread is done by that thread. Where all threads share all work, one that has something to do
//! wakes another to help, which costs more than a request does, and the connections of the pool are anywhere.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use tokio::runtime::{Builder, Handle};

/// They run for the life of the process.
#[derive(Debug)]
pub struct Threads {
    handles: Vec<Handle>,
    next: AtomicUsize,
}

impl Threads {
    /// Starts so many threads, and at least one.
    pub fn start(count: usize) -> io::Result<Self> {
        let start = |number: usize| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let serve = move || runtime.block_on(std::future::pending::<()>());
            thread::Builder::new().name(format!("clients-{number}")).spawn(serve)?;
            Ok(handle)
        };
        Ok(Self { handles: (0..count.max(1)).map(start).collect::<io::Result<_>>()?, next: AtomicUsize::new(0) })
    }

    pub fn count(&self) -> usize {
        self.handles.len()
    }

    /// The number of the thread whose turn it is to take a connection.
    pub fn turn(&self) -> usize {
        self.next.fetch_add(1, Relaxed) % self.handles.len().max(1)
    }

    /// Gives a connection to a thread, where it stays.
    pub fn spawn(&self, number: usize, connection: impl Future<Output = ()> + Send + 'static) {
        if let Some(thread) = self.handles.get(number) {
            thread.spawn(connection);
        }
    }
}

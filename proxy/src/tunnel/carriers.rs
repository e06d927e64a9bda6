//! The threads that carry tunnels: each has its share of them, and one event loop.
//!
//! On the scheduler that requests use, a tunnel with something to move may be taken by another core,
//! which has to be woken for it. Here what the kernel tells a thread is done by that thread.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use tokio::runtime::{Builder, Handle};

/// They run for the life of the process.
#[derive(Debug)]
pub struct Carriers {
    threads: Vec<Handle>,
    next: AtomicUsize,
}

impl Carriers {
    /// Starts so many threads.
    pub fn start(count: usize) -> io::Result<Self> {
        let start = |number: usize| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let carry = move || runtime.block_on(std::future::pending::<()>());
            thread::Builder::new().name(format!("tunnels-{number}")).spawn(carry)?;
            Ok(handle)
        };
        Ok(Self { threads: (0..count.max(1)).map(start).collect::<io::Result<_>>()?, next: AtomicUsize::new(0) })
    }

    /// Gives a tunnel to one of the threads, to each in turn.
    pub fn spawn(&self, tunnel: impl Future<Output = ()> + Send + 'static) {
        let turn = self.next.fetch_add(1, Relaxed) % self.threads.len().max(1);
        if let Some(thread) = self.threads.get(turn) {
            thread.spawn(tunnel);
        }
    }
}

//! Threads for work that no request waits for, such as parsing and building 100,000 apps: those that serve clients go first.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;

/// Of 0 to 19, as nice(2) counts: while clients want all of the machine, a quarter of a core is left for this.
const NICER_BY: i32 = 5;

/// A thread for each piece of work that is under way.
#[derive(Debug)]
pub struct Aside(Option<Runtime>);

impl Aside {
    /// More than `threads_max` wait for each other.
    pub fn new(threads_max: usize) -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.max_blocking_threads(threads_max.max(1)).thread_name("aside").on_thread_start(give_way);
        builder.build().map(Some).map(Self)
    }

    /// What the work spawns runs where it was called from.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        let caller = Handle::current();
        let work = move || {
            let _spawns_there = caller.enter();
            work()
        };
        let threads = self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone());
        threads.spawn_blocking(work).await
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // What it does now can wait for a disk, and must not keep the process.
            runtime.shutdown_background();
        }
    }
}

/// On Linux each thread has a priority of its own.
fn give_way() {
    if let Err(error) = rustix::process::nice(NICER_BY) {
        tracing::debug!("a thread runs at the priority that it was started with: {error}");
    }
}

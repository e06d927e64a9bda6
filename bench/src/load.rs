//! Load generators, and what they note.

mod latency;
pub(crate) mod pace;
pub(crate) mod socket;
pub(crate) mod standing;

pub(crate) use latency::Latency;

use std::io;

/// Runs a generator in this thread.
pub(crate) fn block_on<T>(generator: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(generator)
}

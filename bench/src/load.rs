//! Load generators, and what they note.

pub(crate) mod herd;
mod latency;
pub(crate) mod pace;
pub(crate) mod secured;
pub(crate) mod socket;
pub(crate) mod standing;
pub(crate) mod streams;

pub(crate) use latency::Latency;

use std::io;
use std::time::{Duration, Instant};

/// Runs a generator in this thread.
pub(crate) fn block_on<T>(generator: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(generator)
}

/// The most of these times, which are in order, that lie within any second.
pub(crate) fn most_within_a_second(times: impl Iterator<Item = Instant>) -> usize {
    let times: Vec<Instant> = times.collect();
    let mut first = 0;
    let within = |(n, time): (usize, &Instant)| {
        while *time - times[first] >= Duration::from_secs(1) {
            first += 1;
        }
        n + 1 - first
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}

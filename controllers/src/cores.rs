//! Pure work on very many things, shared by all cores.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{available_parallelism, scope};

/// Fewer things than this are done before other threads would have begun.
const FEW: usize = 1_000;

/// Does the same with each, and keeps their order.
pub fn on_all_cores<T: Send, R: Send>(mut things: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if things.len() < FEW {
        return things.into_iter().map(work).collect();
    }
    let share = things.len().div_ceil(available_parallelism().map_or(1, NonZero::get));
    let work = &work;
    scope(|scope| {
        let mut workers = Vec::new();
        while !things.is_empty() {
            let part = things.split_off(things.len().saturating_sub(share));
            workers.push(scope.spawn(move || part.into_iter().map(work).collect::<Vec<_>>()));
        }
        // The last part was taken first.
        let done = workers.into_iter().rev().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.flatten().collect()
    })
}

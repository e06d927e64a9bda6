//! Turns: how many requests an app works on at once, and who waits for the next, in the order of coming.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use karman_contract::code::Code;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The turns of one app.
#[derive(Debug, Default)]
pub struct Turns {
    taken: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
}

/// What an app allows; it may change from one request to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnLimits {
    /// Requests worked on at once; 0: no limit.
    pub at_once: u32,
    /// Requests that wait.
    pub queue: u32,
    /// How long one waits.
    pub patience: Duration,
}

/// A request's turn, until this is dropped.
#[derive(Debug)]
pub struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
        self.0.freed.notify_one();
    }
}

impl Turns {
    /// Takes a turn, or waits for one.
    pub async fn take(self: &Arc<Self>, limits: TurnLimits) -> Result<Turn, Code> {
        // Whoever comes while others wait does not pass them.
        if self.waiting.load(Relaxed) == 0
            && let Some(turn) = self.try_take(limits.at_once)
        {
            return Ok(turn);
        }
        let _place = Place::take(self, limits.queue).ok_or(Code::QueueFull)?;
        let deadline = Instant::now() + limits.patience;
        loop {
            // Registered before looking, so that a turn freed in between is not missed.
            let freed = self.freed.notified();
            if let Some(turn) = self.try_take(limits.at_once) {
                return Ok(turn);
            }
            timeout_at(deadline, freed).await.map_err(|_| Code::QueueTimeout)?;
        }
    }

    fn try_take(self: &Arc<Self>, at_once: u32) -> Option<Turn> {
        let more = |taken: u32| (at_once == 0 || taken < at_once).then(|| taken.saturating_add(1));
        self.taken.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Turn(Arc::clone(self)))
    }

    /// Requests that wait for their turn.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }
}

/// A place in the queue.
struct Place<'t>(&'t Turns);

impl<'t> Place<'t> {
    fn take(turns: &'t Turns, queue: u32) -> Option<Self> {
        let more = |waiting: u32| (waiting < queue).then(|| waiting + 1);
        turns.waiting.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Self(turns))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

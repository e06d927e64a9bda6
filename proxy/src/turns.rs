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
    /// As many as whoever came last may have found allowed.
    at_once: AtomicU32,
    taken: AtomicU32,
    queued: AtomicU32,
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
        let left = self.0.taken.fetch_sub(1, Relaxed).saturating_sub(1);
        let at_once = self.0.at_once.load(Relaxed);
        if at_once == 0 || left < at_once {
            self.0.freed.notify_one();
        }
    }
}

impl Turns {
    /// Takes a turn, or waits for one.
    pub async fn take(self: &Arc<Self>, limits: TurnLimits) -> Result<Turn, Code> {
        self.allow(limits.at_once);
        // Whoever comes while others wait does not pass them, not even one who was told that it is his turn and has not run yet.
        if self.queued.load(Relaxed) == 0
            && let Some(turn) = self.try_take()
        {
            return Ok(turn);
        }
        let _queued = Queued::take(self, limits.queue).ok_or(Code::QueueFull)?;
        let deadline = Instant::now() + limits.patience;
        loop {
            // A turn that was freed since we looked is kept for whoever asks first.
            timeout_at(deadline, self.freed.notified()).await.map_err(|_| Code::QueueTimeout)?;
            if let Some(turn) = self.try_take() {
                return Ok(turn);
            }
        }
    }

    /// One word for each turn that there is, and no more: who is told in vain goes to the end of the queue.
    fn allow(&self, at_once: u32) {
        let before = self.at_once.swap(at_once, Relaxed);
        // Those who wait, and who just came.
        let all = self.queued().saturating_add(1);
        let more = match (before, at_once) {
            (0, _) => 0,
            (_, 0) => all,
            _ => at_once.saturating_sub(before).min(all),
        };
        (0..more).for_each(|_| self.freed.notify_one());
    }

    fn try_take(self: &Arc<Self>) -> Option<Turn> {
        let at_once = self.at_once.load(Relaxed);
        let more = |taken: u32| (at_once == 0 || taken < at_once).then(|| taken.saturating_add(1));
        self.taken.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Turn(Arc::clone(self)))
    }

    /// Requests that wait for their turn.
    pub fn queued(&self) -> u32 {
        self.queued.load(Relaxed)
    }
}

/// One of those in the queue, until this is dropped.
struct Queued<'t>(&'t Turns);

impl<'t> Queued<'t> {
    fn take(turns: &'t Turns, queue: u32) -> Option<Self> {
        let more = |queued: u32| (queued < queue).then(|| queued + 1);
        turns.queued.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Self(turns))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Relaxed);
    }
}

//! How slow the other side of a connection may be: a rate, and a grace for pauses. Pure.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// How long a slow client is left alone before the next look, of what it spent of its patience.
const PAUSE_SHARE: u32 = 2;

/// The slowest that is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowest {
    /// How long nothing at all may move.
    pub grace: Duration,
    /// On average, beyond the grace. 0: only pauses are bounded.
    pub bytes_per_second: u64,
}

/// How much patience is left. It melts while we wait for the other side, and only then: a client is
/// not blamed for a slow app. What moves gives it back, up to the grace.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    slowest: Slowest,
    left: Duration,
    /// Since when we wait, in milliseconds of [`crate::clock`].
    since: Option<u64>,
}

impl Patience {
    pub fn new(slowest: Slowest) -> Self {
        Self { slowest, left: slowest.grace, since: None }
    }

    /// We wait for the other side. Says when patience ends, in milliseconds of the clock.
    pub fn wait(&mut self, now: u64) -> u64 {
        let since = *self.since.get_or_insert(now);
        since.saturating_add(u64::try_from(self.left.as_millis()).unwrap_or(u64::MAX))
    }

    /// Bytes have moved. The clock is asked only if we waited for them.
    pub fn moved(&mut self, bytes: usize, now: impl FnOnce() -> u64) {
        let waited = self.since.take().map_or(0, |since| now().saturating_sub(since));
        let earned = match self.slowest.bytes_per_second {
            0 => self.slowest.grace,
            rate => Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / rate),
        };
        let left = self.left.saturating_sub(Duration::from_millis(waited));
        self.left = left.saturating_add(earned).min(self.slowest.grace);
    }

    /// A piece has come that was waited for since the one before it, or that is the first. Says whether patience had ended by then.
    pub fn came_too_slowly(&mut self, bytes: usize, now: u64) -> bool {
        let late = self.wait(now) <= now;
        self.moved(bytes, || now);
        self.wait(now);
        late
    }

    /// How long a client that lives on its patience is left alone before the next look: a share of what it spent, so that
    /// nobody waits much longer than he let us wait, and who keeps the rate never does.
    pub fn pause(&self) -> Duration {
        let pause = self.slowest.grace.saturating_sub(self.left) / PAUSE_SHARE;
        // As fine as timers are.
        if pause < Duration::from_millis(1) { Duration::ZERO } else { pause }
    }

    /// Whether we wait for the other side.
    pub fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Whether the other side lives on its patience.
    pub fn is_slow(&self) -> bool {
        !self.pause().is_zero()
    }

    /// How much patience there is while we do not wait.
    pub fn left(&self) -> Duration {
        self.left
    }

    /// A new message: with all its patience.
    pub fn start(&mut self) {
        *self = Self::new(self.slowest);
    }
}

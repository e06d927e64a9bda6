//! The steps of a drain, of an instance or of the edge: how many tunnels are closed in each, one after the other until the next.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::health::jitter;

/// How often it is decided how many are closed next.
pub const TICK: Duration = Duration::from_millis(100);
/// Over how long those are closed, one after the other, so that neither they nor who shares the machine with them
/// meet a crowd. It leaves a part of the tick to the orders of previous processes, which would overlap else.
pub const SPREAD: Duration = Duration::from_millis(90);
/// A tick that came late closes no more than this one's share: what was missed is not made up in a crowd.
const TICK_MAX: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub struct Steps {
    tick: Interval,
    last: Instant,
    owed: f64,
}

impl Steps {
    pub fn begin() -> Self {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tick, last: Instant::now(), owed: 0.0 }
    }

    /// Waits for the next step.
    pub async fn next(&mut self) {
        self.tick.tick().await;
    }

    /// How many tunnels to close in this step, at so many a second, of so many that there are.
    pub fn due(&mut self, rate: f64, most: usize) -> usize {
        let since = self.last.elapsed();
        self.last = Instant::now();
        due(&mut self.owed, rate, since, fastrand::f64(), most)
    }
}

/// Pure: `owed` is what the steps before left of a tunnel. What could not be used is not saved up: a pace is a limit, not a debt.
pub(super) fn due(owed: &mut f64, rate: f64, since: Duration, chance: f64, most: usize) -> usize {
    // No limit is a rate that is infinite, and infinitely many in no time is no number.
    *owed += rate.min(f64::MAX) * since.min(TICK_MAX).as_secs_f64() * jitter(chance);
    // Truncation is meant: what is left of a tunnel is closed in the next step.
    let now = (*owed as usize).min(most);
    *owed = (*owed - now as f64).clamp(0.0, 1.0);
    now
}

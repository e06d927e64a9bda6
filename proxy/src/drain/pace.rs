//! How fast an instance is emptied: what its takers admit, less where they show strain.

use std::time::Duration;

use super::steps::TICK;

/// How long a new socket waits for its turn at a taker that is at its limit.
const BACKLOG_MAX: Duration = Duration::from_secs(1);
/// The part of an app's connect timeout that a connection may take without being called slow, and
/// the part at which the taker has no time for more.
const CONNECT_SHARE: (f64, f64) = (0.05, 0.25);

/// What the instances that take over show of being at their limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Strain {
    /// The longest time that a new socket waits at one of them.
    pub backlog: Duration,
    /// What a connection to the slowest of them takes, as a part of what it may take.
    pub connect_share: f64,
    /// Whether the app's clients were turned away for want of room since the last look.
    pub refusing: bool,
}

impl Strain {
    /// The part of the pace that is left, 0 to 1.
    pub fn ease(&self) -> f64 {
        if self.refusing {
            return 0.0;
        }
        let by_backlog = 1.0 - self.backlog.as_secs_f64() / BACKLOG_MAX.as_secs_f64();
        let (from, to) = CONNECT_SHARE;
        let by_connect = (to - self.connect_share) / (to - from);
        by_backlog.min(by_connect).clamp(0.0, 1.0)
    }
}

/// How many tunnels to close a second.
///
/// To Meteor the rate of closes is the rate of reconnects. So it is what the takers admit, together
/// (`takes`), less where they are strained (`ease`); more only where the rest would not be gone within
/// the time that is left. While nobody takes them, they stay where they are, until the time that their
/// going takes at one instance's rate (`one_takes`) is all that is left. A rate of 0 is no limit.
pub fn pace(tunnels: usize, takes: Option<f64>, ease: f64, one_takes: f64, left: Duration) -> f64 {
    let limit = |rate: f64| if one_takes <= 0.0 { f64::INFINITY } else { rate };
    let allowed = if ease > 0.0 { takes.map_or(0.0, |takes| limit(takes * ease)) } else { 0.0 };
    let needed = tunnels as f64 / left.as_secs_f64().max(TICK.as_secs_f64());
    if needed < limit(one_takes) && !left.is_zero() { allowed } else { needed.max(allowed) }
}

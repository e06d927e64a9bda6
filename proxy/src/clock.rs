//! Monotonic time in milliseconds, small enough for an atomic.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The time since the process first asked.
pub fn now() -> Duration {
    Duration::from_millis(millis())
}

/// Milliseconds since the process first asked; never goes back, starts at 1 so that 0 can mean "never".
pub fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}

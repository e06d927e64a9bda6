//! When a Meteor client tries again, and how long it waits for what. Pure.
//!
//! Read in Meteor 3.0.4 (`packages/retry/retry.js`, `packages/socket-stream-client`) and SockJS client 1.6.1 (`lib/main.js`).

#[cfg(test)]
mod tests;

use std::time::Duration;

/// From the start of an attempt to the socket's opening.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the answer to `/info` alone.
pub(super) const INFO_TIMEOUT: Duration = Duration::from_secs(8);
/// Silence after which the client says `ping`, and how long it waits for anything after that.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(17_500);
pub(super) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(15);

/// So many retries come almost at once, without jitter.
const MIN_COUNT: u32 = 2;
const MIN_TIMEOUT: Duration = Duration::from_millis(10);
const BASE_SECONDS: f64 = 1.0;
const EXPONENT: f64 = 2.2;
const FUZZ: f64 = 0.5;
const MAX_SECONDS: f64 = 300.0;

/// The delay before retry number `count`, counted from 0 since the last socket that opened. `chance` is from 0 to 1.
pub(super) fn retry_delay(count: u32, chance: f64) -> Duration {
    if count < MIN_COUNT {
        return MIN_TIMEOUT;
    }
    let seconds = (BASE_SECONDS * EXPONENT.powi(i32::try_from(count).unwrap_or(i32::MAX))).min(MAX_SECONDS);
    Duration::from_secs_f64(seconds * (chance * FUZZ + (1.0 - FUZZ / 2.0)))
}

/// How long a transport may take until its first frame: two round trips, as `/info` took them.
pub(super) fn transport_timeout(info_took: Duration) -> Duration {
    const FAST: Duration = Duration::from_millis(100);
    let one = if info_took > FAST { info_took * 4 } else { Duration::from_millis(300) + info_took };
    one * 2
}

//! How often a client may ask: requests and sockets a second, by client network and app.
//!
//! A table of fixed size, whatever comes: where it has no room for one more client that asks often, that
//! one is let through. It never refuses one client for what another did.

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use crate::vitals::lock;

/// Clients with a debt at once: this many buckets of so many. About 1.2 MB.
const BUCKETS: usize = 16_384;
const CLIENTS_A_BUCKET: usize = 4;
/// What comes after a calm is let in at once, up to the share of this time.
const BURST: Duration = Duration::from_secs(1);

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counts {
    Requests,
    Sockets,
}

/// Who asked how often.
#[derive(Debug)]
pub struct Rates {
    /// Keyed anew in every process, so that nobody can choose networks that fall into one bucket.
    hasher: RandomState,
    buckets: Box<[Mutex<[Client; CLIENTS_A_BUCKET]>]>,
}

/// A client of one app, and when it has paid its debt (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    key: u64,
    free_at: Duration,
}

impl Default for Rates {
    fn default() -> Self {
        Self { hasher: RandomState::new(), buckets: (0..BUCKETS).map(|_| Mutex::default()).collect() }
    }
}

impl Rates {
    /// Whether one more is within the rate; if so it is counted. `per_second` of 0 is no limit. `now` is
    /// of a monotonic clock.
    pub fn allow(&self, app: &str, what: Counts, client: IpAddr, per_second: u32, now: Duration) -> bool {
        if per_second == 0 {
            return true;
        }
        let key = self.hasher.hash_one((app, what, network(client)));
        let bucket = usize::try_from(key % BUCKETS as u64).unwrap_or(0);
        let Some(bucket) = self.buckets.get(bucket) else { return true };
        let mut clients = lock(bucket);
        let known = clients.iter().position(|client| client.key == key);
        let place = known.or_else(|| clients.iter().position(|client| client.free_at <= now));
        let Some(client) = place.and_then(|place| clients.get_mut(place)) else { return true };
        let free_at = if client.key == key { client.free_at.max(now) } else { now };
        let after = free_at + Duration::from_secs(1) / per_second;
        if after > now + BURST {
            return false;
        }
        *client = Client { key, free_at: after };
        true
    }
}

/// Whom an address stands for: of IPv6 everybody has a whole /64.
fn network(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
    }
}

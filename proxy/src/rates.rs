//! How often somebody may come: a rate for each of many keys, such as the clients of an app or the names of handshakes.
//!
//! A table of fixed size, whatever comes: where it has no room for one more key that comes often, its rate is not
//! known. It never holds up one key for what another did.

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use crate::vitals::lock;

const KEYS_A_BUCKET: usize = 4;

/// So many for each key, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time that each one pays for.
    pub every: Duration,
    /// What comes after a calm is let in at once, up to the share of this time, and always one.
    pub burst: Duration,
}

impl Rate {
    /// `None` for 0, which is no limit.
    pub fn per_second(count: u32, burst: Duration) -> Option<Self> {
        (count > 0).then(|| Self { every: Duration::from_secs(1) / count, burst })
    }
}

/// When one more of a key may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booking {
    /// It is booked, and this long from now.
    After(Duration),
    /// It is later than the caller would wait, and was not booked.
    TooLate,
    /// As many keys come often as the table has room for, and this is none of them.
    NoRoom,
}

/// The keys that came lately.
#[derive(Debug)]
pub struct Rates {
    /// Keyed anew in every process, so that nobody can choose keys that fall into one bucket.
    hasher: RandomState,
    buckets: Box<[Mutex<[Debt; KEYS_A_BUCKET]>]>,
}

/// A key, and when it has paid for what came (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug, Default)]
struct Debt {
    key: u64,
    paid_at: Duration,
}

impl Rates {
    /// With room for about so many keys that are in debt at once, in 26 bytes each.
    pub fn new(keys: usize) -> Self {
        let buckets = keys.div_ceil(KEYS_A_BUCKET).max(1);
        Self { hasher: RandomState::new(), buckets: (0..buckets).map(|_| Mutex::default()).collect() }
    }

    /// Books the next turn of this key, if it is not later than the caller would wait. `now` is of a monotonic clock.
    pub fn book(&self, key: impl Hash, rate: Rate, now: Duration, patience: Duration) -> Booking {
        let key = self.hasher.hash_one(key);
        let bucket = usize::try_from(key % self.buckets.len() as u64).unwrap_or(0);
        let Some(bucket) = self.buckets.get(bucket) else { return Booking::NoRoom };
        let mut debts = lock(bucket);
        let known = debts.iter().position(|debt| debt.key == key);
        let place = known.or_else(|| debts.iter().position(|debt| debt.paid_at <= now));
        let Some(debt) = place.and_then(|place| debts.get_mut(place)) else { return Booking::NoRoom };
        let due = if debt.key == key { debt.paid_at.max(now) } else { now };
        let wait = due.saturating_sub(now + rate.burst.saturating_sub(rate.every));
        if wait > patience {
            return Booking::TooLate;
        }
        *debt = Debt { key, paid_at: due + rate.every };
        Booking::After(wait)
    }
}

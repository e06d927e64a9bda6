//! A rate for each of many keys, such as client networks: whoever is too fast waits its turn.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use crate::vitals::lock;

/// Keys remembered at once. When so many are busy, the rest share one rate.
const KEYS_MAX: usize = 16_384;

/// Those that come after a calm are let in at once, up to the share of this time.
const BURST: Duration = Duration::from_millis(250);

/// The rates of all keys.
#[derive(Debug)]
pub(super) struct Paces<K> {
    per_second: f64,
    busy: Mutex<HashMap<K, Turns>>,
    others: Mutex<Turns>,
}

impl<K: Eq + Hash> Paces<K> {
    /// 0 is no limit.
    pub(super) fn new(per_second: f64) -> Self {
        Self { per_second, busy: Mutex::default(), others: Mutex::default() }
    }

    /// Books the next turn of this key, and says how long it is until then. `None`, and nothing
    /// booked, if that is longer than the caller would wait. Times are of a monotonic clock.
    pub(super) fn book(&self, key: K, now: Duration, patience: Duration) -> Option<Duration> {
        if self.per_second == 0.0 {
            return Some(Duration::ZERO);
        }
        let mut busy = lock(&self.busy);
        if busy.len() >= KEYS_MAX && !busy.contains_key(&key) {
            busy.retain(|_, turns| !turns.is_idle(now));
            if busy.len() >= KEYS_MAX {
                return lock(&self.others).book(now, self.per_second, patience);
            }
        }
        busy.entry(key).or_default().book(now, self.per_second, patience)
    }
}

/// When the next turn of a key is, were there no burst (the generic cell rate algorithm).
#[derive(Debug, Default)]
struct Turns {
    next: Duration,
}

impl Turns {
    /// Whether nothing that was booked is still to come.
    fn is_idle(&self, now: Duration) -> bool {
        self.next <= now
    }

    fn book(&mut self, now: Duration, per_second: f64, patience: Duration) -> Option<Duration> {
        let due = self.next.max(now);
        let wait = due.saturating_sub(now + BURST);
        (wait <= patience).then(|| {
            self.next = due + Duration::from_secs_f64(1.0 / per_second);
            wait
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    #[test]
    fn each_key_has_its_own_rate() {
        let paces = Paces::new(10.0);
        let taken = |key: &'static str, now| (0..100).filter(|_| paces.book(key, now, NONE).is_some()).count();
        let now = Duration::from_secs(100);
        assert!((1..=5).contains(&taken("storm", now)));
        assert_eq!(taken("storm", now), 0);
        assert!(taken("calm", now) >= 1, "one key's storm is nobody else's");
        assert!(taken("storm", now + Duration::from_secs(1)) >= 1);
        assert!(Paces::new(0.0).book("any", now, NONE).is_some());
    }

    #[test]
    fn keys_are_forgotten_when_they_are_calm_and_bounded_when_they_are_not() {
        let paces = Paces::new(0.001);
        let now = Duration::from_secs(100);
        for key in 0..KEYS_MAX + 10 {
            paces.book(key, now, NONE);
        }
        assert_eq!(lock(&paces.busy).len(), KEYS_MAX);
        paces.book(usize::MAX, now + Duration::from_secs(10_000), NONE);
        assert_eq!(lock(&paces.busy).len(), 1);
    }
}

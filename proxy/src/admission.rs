//! Admission of new sockets: how many an instance takes a second, and when the next one is due.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::balance::warmth;
use crate::exchange::Exchange;
use crate::table::App;

/// Those that come after a calm are let in at once, up to the share of this time: 50 go at once, 50,000 do not.
const BURST: Duration = Duration::from_millis(250);

/// How many new sockets the app's instances take a second, together; 0 for any number, `None` while
/// there is none to take them. A newborn takes as small a part as of everything else.
pub fn takes_per_second(app: &App) -> Option<f64> {
    if app.vitals.is_down() {
        return None;
    }
    let warm_up = Exchange::seconds(app.wire.warm_seconds);
    let takers = app.instances.iter().filter(|instance| instance.takes());
    let warmths: Vec<f64> = takers.map(|instance| warmth(instance.vitals.ready_for(), warm_up)).collect();
    (!warmths.is_empty()).then(|| warmths.iter().sum::<f64>() * f64::from(app.wire.limits.sockets_per_second))
}

/// When an instance takes its next socket, were there no burst.
///
/// Whoever comes gets its own moment, in the order of coming: there is no queue to hold, and nobody
/// has to be woken but by its own timer (the generic cell rate algorithm).
#[derive(Debug, Default)]
pub struct Admission(AtomicU64);

impl Admission {
    /// Whether nothing that was booked is still to come.
    pub fn is_idle(&self, now: Duration) -> bool {
        Duration::from_micros(self.0.load(Relaxed)) <= now
    }

    /// Books a place, and says how long it is until then. `None`, and nothing booked, if that is longer
    /// than the caller would wait. `per_second` of 0 is no limit. Times are of a monotonic clock.
    pub fn book(&self, now: Duration, per_second: f64, patience: Duration) -> Option<Duration> {
        if per_second <= 0.0 {
            return Some(Duration::ZERO);
        }
        let mut wait = None;
        let book = |next: u64| {
            let (next, until) = place(Duration::from_micros(next), now, Duration::from_secs_f64(1.0 / per_second));
            wait = (until <= patience).then_some(until);
            wait.and_then(|_| u64::try_from(next.as_micros()).ok())
        };
        let _ = self.0.fetch_update(Relaxed, Relaxed, book);
        wait
    }

    /// How long one that comes now would have to wait.
    pub fn backlog(&self, now: Duration) -> Duration {
        Duration::from_micros(self.0.load(Relaxed)).saturating_sub(now + BURST)
    }
}

/// When the one after is due, and how long this one has to wait.
fn place(next: Duration, now: Duration, interval: Duration) -> (Duration, Duration) {
    let due = next.max(now);
    (due + interval, due.saturating_sub(now + BURST))
}

//! Admission of new sockets: how many an instance takes a second, and when the next one is due.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use crate::share::Share;
use crate::table::App;
use crate::vitals::lock;

/// Longer than the second that a rate is about, so that a socket which is late for its moment does not
/// come within a second of one too many.
const WINDOW: Duration = Duration::from_millis(1_020);
/// A herd goes in over this part of a second, evenly; the rest is what a socket may be late by without
/// making the herd later than its size over the rate.
const SPREAD: Duration = Duration::from_millis(750);

/// How many new sockets the app's instances take a second from this edge, together; 0 for any number, `None`
/// while there is none to take them. A newborn takes as small a part as of everything else.
pub fn takes_per_second(app: &App, share: &Share) -> Option<f64> {
    if app.vitals.is_down() {
        return None;
    }
    let takers = app.instances.iter().filter(|instance| instance.takes());
    let warmths: Vec<f64> = takers.map(|instance| app.warmth(&instance.vitals)).collect();
    (!warmths.is_empty()).then(|| warmths.iter().sum::<f64>() * share.of(app.wire.limits.sockets_per_second))
}

/// When an instance takes its next socket. Within no second are there more moments than the rate.
///
/// Whoever comes gets its own moment, in the order of coming: there is no queue to hold, and nobody
/// has to be woken but by its own timer.
#[derive(Debug, Default)]
pub struct Admission(Mutex<Option<Box<Booked>>>);

/// In a box, and made for the first moment: most of an edge's instances have few sockets, and many none.
#[derive(Debug, Default)]
struct Booked {
    /// The moments of the last window, in order: those that a next one has to keep clear of.
    moments: VecDeque<Duration>,
    /// Of these, or of earlier ones, those that were given back and are still to come.
    free: BTreeSet<Duration>,
}

impl Admission {
    /// Books a moment, and says how long it is until then. `None`, and nothing booked, if that is longer
    /// than the caller would wait. `per_second` of 0 is no limit. Times are of a monotonic clock.
    pub fn book(&self, now: Duration, per_second: f64, patience: Duration) -> Option<Duration> {
        if per_second <= 0.0 {
            return Some(Duration::ZERO);
        }
        let mut booked = lock(&self.0);
        let booked = booked.get_or_insert_default();
        if let Some(due) = booked.next_free(now) {
            let wait = due.saturating_sub(now);
            return (wait <= patience && booked.free.remove(&due)).then_some(wait);
        }
        let spacing = Spacing::new(per_second);
        let due = booked.next(now, spacing);
        let wait = due.saturating_sub(now);
        (wait <= patience).then(|| {
            booked.add(due, spacing);
            wait
        })
    }

    /// A booked moment that nobody will use: whoever comes next may have it.
    pub fn give_back(&self, due: Duration) {
        lock(&self.0).get_or_insert_default().free.insert(due);
    }

    /// How far ahead moments are booked.
    pub fn backlog(&self, now: Duration) -> Duration {
        let mut booked = lock(&self.0);
        let Some(booked) = booked.as_mut() else { return Duration::ZERO };
        let next = booked.next_free(now).or_else(|| booked.moments.back().copied());
        next.map_or(Duration::ZERO, |next| next.saturating_sub(now))
    }
}

/// So many within a window, and one after the other.
#[derive(Clone, Copy, Debug)]
struct Spacing {
    most: usize,
    window: Duration,
    between: Duration,
}

impl Spacing {
    fn new(per_second: f64) -> Self {
        // Truncation is meant: half a socket a second more than allowed is more than allowed.
        let most = (per_second as usize).max(1);
        let windows = if per_second < 1.0 { 1.0 / per_second.max(PER_SECOND_MIN) } else { 1.0 };
        let window = WINDOW.mul_f64(windows);
        Self { most, window, between: SPREAD.mul_f64(windows) / u32::try_from(most).unwrap_or(u32::MAX) }
    }
}

/// Below one a day a rate is as good as this one, and no time overflows.
const PER_SECOND_MIN: f64 = 1.0 / 86_400.0;

impl Booked {
    fn next_free(&mut self, now: Duration) -> Option<Duration> {
        while self.free.first().is_some_and(|first| *first < now) {
            self.free.pop_first();
        }
        self.free.first().copied()
    }

    fn next(&self, now: Duration, spacing: Spacing) -> Duration {
        let after_last = self.moments.back().map_or(now, |last| *last + spacing.between);
        let one_too_many = self.moments.len().checked_sub(spacing.most).and_then(|before| self.moments.get(before));
        now.max(after_last).max(one_too_many.map_or(now, |before| *before + spacing.window))
    }

    fn add(&mut self, due: Duration, spacing: Spacing) {
        while self.moments.front().is_some_and(|first| *first + spacing.window <= due) {
            self.moments.pop_front();
        }
        self.moments.push_back(due);
    }
}

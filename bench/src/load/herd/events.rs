//! What a herd noted, and what follows from it. Pure.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Instant,
    pub(crate) client: u32,
    pub(crate) happened: Happened,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// The first of it: from here on somebody waits.
    Came,
    /// A socket opened: a WebSocket, or else a polling session.
    Opened { polling: bool },
    /// All subscriptions are ready; they come from this instance.
    Live { instance: String },
    /// The socket is over.
    Lost,
    /// An attempt failed, and why.
    Refused { why: String },
}

/// How many clients have live data, by their own last word.
pub(super) fn live(events: &[Event]) -> usize {
    let mut last: HashMap<u32, bool> = HashMap::new();
    for event in events {
        match event.happened {
            Happened::Live { .. } => last.insert(event.client, true),
            Happened::Lost => last.insert(event.client, false),
            _ => None,
        };
    }
    last.values().filter(|live| **live).count()
}

/// How long each client waited from its coming until it first had live data. `None`: it has none yet.
pub(crate) fn first_live(events: &[Event]) -> Vec<Option<Duration>> {
    let mut came: HashMap<u32, Instant> = HashMap::new();
    let mut waited: HashMap<u32, Option<Duration>> = HashMap::new();
    for event in events {
        match event.happened {
            Happened::Came => {
                came.insert(event.client, event.at);
                waited.insert(event.client, None);
            }
            Happened::Live { .. } => {
                if let (Some(came), Some(waited @ None)) = (came.get(&event.client), waited.get_mut(&event.client)) {
                    *waited = Some(event.at - *came);
                }
            }
            _ => {}
        }
    }
    waited.into_values().collect()
}

/// How long each client that lost its socket after `from` was without live data, in all. `None`: it still is.
pub(crate) fn gaps(events: &[Event], from: Instant) -> Vec<Option<Duration>> {
    let mut lost: HashMap<u32, Instant> = HashMap::new();
    let mut gaps: HashMap<u32, Duration> = HashMap::new();
    for event in events.iter().filter(|event| event.at >= from) {
        match event.happened {
            // A socket that is lost again before there was data makes the gap no shorter.
            Happened::Lost => drop(lost.entry(event.client).or_insert(event.at)),
            Happened::Live { .. } => {
                if let Some(since) = lost.remove(&event.client) {
                    *gaps.entry(event.client).or_default() += event.at - since;
                }
            }
            _ => {}
        }
    }
    let over = gaps.into_iter().filter(|(client, _)| !lost.contains_key(client)).map(|(_, gap)| Some(gap));
    over.chain(lost.keys().map(|_| None)).collect()
}

/// Sockets that opened a second, in steps; from `start`, in seconds.
pub(crate) fn opened_over_time(events: &[Event], start: Instant, step: f64) -> Vec<(f64, f64)> {
    let opened = events.iter().filter(|event| matches!(event.happened, Happened::Opened { .. }));
    let mut counts: Vec<u32> = Vec::new();
    for at in opened.filter_map(|event| event.at.checked_duration_since(start)) {
        let bucket = (at.as_secs_f64() / step) as usize;
        counts.resize(counts.len().max(bucket + 1), 0);
        counts[bucket] += 1;
    }
    counts.into_iter().enumerate().map(|(n, count)| (n as f64 * step, f64::from(count) / step)).collect()
}

/// How long each client that was on `instance` was without live data, from its death on. `None`: it still is.
///
/// A socket that is held open brings nothing, so these clients count as without data from the death, whatever they know.
pub(crate) fn without_live_data(events: &[Event], instance: &str, died: Instant) -> Vec<Option<Duration>> {
    let mut bound: HashMap<u32, Option<Duration>> = HashMap::new();
    for event in events {
        let Happened::Live { instance: here } = &event.happened else { continue };
        match event.at.checked_duration_since(died) {
            None if here == instance => drop(bound.insert(event.client, None)),
            None => drop(bound.remove(&event.client)),
            Some(after) => {
                if let Some(without @ None) = bound.get_mut(&event.client) {
                    *without = Some(after);
                }
            }
        }
    }
    bound.into_values().collect()
}

/// The share of `clients` with live data, in percent, over time from `start`; those of the dead instance count from its death on.
pub(crate) fn share_live_over_time(
    without: &[Option<Duration>],
    clients: usize,
    start_to_death: Duration,
    end: Duration,
    step: f64,
) -> Vec<(f64, f64)> {
    let steps = (end.as_secs_f64() / step).round() as u32;
    let share = |n: u32| {
        let at = f64::from(n) * step;
        let missing = match at - start_to_death.as_secs_f64() {
            before if before < 0.0 => 0,
            since => without.iter().filter(|time| time.is_none_or(|time| time.as_secs_f64() > since)).count(),
        };
        (at, 100.0 * (clients.saturating_sub(missing)) as f64 / clients.max(1) as f64)
    };
    (0..=steps).map(share).collect()
}

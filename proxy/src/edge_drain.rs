//! Draining an edge, or its whole region: its clients are sent elsewhere at a pace, until the order is called off.
//!
//! Nothing is refused meanwhile. `/readyz` and `/healthz/region` say at once that others should be asked;
//! sockets that have been here for long enough are closed a few at a time, and whoever comes all the
//! same is served. The order outlives the process.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use karman_contract::drain::{Drain, DrainOrder, DrainScope};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock;
use crate::drain::steps::{SPREAD, Steps};
use crate::edge::Edge;
use crate::kept;
use crate::processes::millis;
use crate::tunnel::close_over;
use crate::vitals::{ClosedBy, lock};

/// How often the open sockets are put in the order of their age.
const LIST_EVERY: Duration = Duration::from_secs(1);
/// How often HTTP/2 connections that came meanwhile are told to end.
const FAREWELL_EVERY: Duration = Duration::from_secs(5);

/// The order that stands, if one does.
#[derive(Debug)]
pub struct EdgeDrain {
    path: PathBuf,
    standing: Mutex<Option<Ordered>>,
    /// Looked at for every request.
    is_on: AtomicBool,
    changed: Notify,
}

#[derive(Clone, Debug)]
struct Ordered {
    drain: Drain,
    /// When it began in this process, by [`clock::millis`].
    from_millis: u64,
}

/// Whether a socket was left alone for long enough. All times are by [`clock::millis`].
pub fn may_go(opened: u64, order: &DrainOrder, from: u64, now: u64) -> bool {
    opened.max(from) + u64::from(order.after_seconds) * 1_000 <= now
}

impl EdgeDrain {
    /// Takes up the order that stood when the process ended. One that cannot be read stands no more:
    /// an edge that serves by mistake is better than one that turns everybody away by mistake.
    pub fn open(dir: &Path) -> Self {
        let path = dir.join("drain.json");
        let standing = match kept::read::<Drain>(&path) {
            Ok(found) => found.map(|drain| Ordered { drain, from_millis: clock::millis() }),
            Err(e) => {
                tracing::error!(path = %path.display(), error = %e, "whether this edge was being drained cannot be read: it serves");
                None
            }
        };
        let is_on = AtomicBool::new(standing.is_some());
        Self { path, standing: Mutex::new(standing), is_on, changed: Notify::new() }
    }

    /// Starts to drain, or goes on under another order.
    pub fn order(&self, order: DrainOrder, now: Timestamp) -> io::Result<()> {
        let mut standing = lock(&self.standing);
        let since = standing.as_ref().map(|standing| (standing.drain.since, standing.from_millis));
        let (since, from_millis) = since.unwrap_or_else(|| (now, clock::millis()));
        let drain = Drain { order, since };
        kept::write(&self.path, &drain)?;
        *standing = Some(Ordered { drain, from_millis });
        self.is_on.store(true, Relaxed);
        self.changed.notify_one();
        Ok(())
    }

    /// Stays after all. Whether it was being drained.
    pub fn call_off(&self) -> io::Result<bool> {
        let mut standing = lock(&self.standing);
        kept::remove(&self.path)?;
        self.is_on.store(false, Relaxed);
        Ok(standing.take().is_some())
    }

    /// Leaves the order to the process that takes over.
    pub fn retire(&self) {
        self.is_on.store(false, Relaxed);
        *lock(&self.standing) = None;
    }

    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    pub fn standing(&self) -> Option<Drain> {
        lock(&self.standing).as_ref().map(|standing| standing.drain.clone())
    }

    /// Whether all of the region is being drained.
    pub fn drains_region(&self) -> bool {
        self.is_on() && self.standing().is_some_and(|drain| drain.order.scope == DrainScope::Region)
    }

    /// Closes sockets while an order stands. Runs for the life of the process.
    pub async fn run(&self, edge: &Edge) {
        loop {
            if !self.is_on() {
                self.changed.notified().await;
            }
            self.empty(edge).await;
        }
    }

    /// Closes sockets until the order is taken back. HTTP/2 connections are told that they are to end as
    /// soon as their requests are answered, as HTTP/1.1 is with each answer.
    async fn empty(&self, edge: &Edge) {
        let mut steps = Steps::begin();
        let (mut oldest, mut listed) = (VecDeque::new(), None);
        let mut told = None;
        loop {
            steps.next().await;
            let Some(Ordered { drain, from_millis }) = lock(&self.standing).clone() else { return };
            let due = steps.due(f64::from(drain.order.sockets_per_second), usize::MAX);
            if told.is_none_or(|at: Instant| at.elapsed() >= FAREWELL_EVERY) {
                edge.farewell.send_replace(true);
                told = Some(Instant::now());
            }
            if listed.is_none_or(|at: Instant| at.elapsed() >= LIST_EVERY) {
                oldest = VecDeque::from(edge.tunnels.oldest());
                listed = Some(Instant::now());
            }
            let now = clock::millis();
            let mut going = Vec::new();
            while going.len() < due
                && let Some(tunnel) = oldest.pop_front_if(|tunnel| may_go(tunnel.opened_at(), &drain.order, from_millis, now))
            {
                // Some went by themselves since they were listed.
                going.extend(tunnel.is_open().then_some(tunnel));
            }
            let after = Duration::from_secs(drain.order.after_seconds.into());
            let elsewhere = due - going.len();
            if elsewhere > 0 && now.saturating_sub(from_millis) >= millis(after) {
                edge.processes.close_old(elsewhere, SPREAD, after).await;
            }
            close_over(going, SPREAD, Duration::ZERO, ClosedBy::Drain).await;
        }
    }
}

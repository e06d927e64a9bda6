//! When the process runs out of connections or memory: who has to give, and what is given up first.
//!
//! Decided twice a second from counts; the decision is pure. Nobody who keeps to a fair share notices.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use karman_contract::event::EventKind;
use karman_contract::name::AppId;
use tokio::sync::watch;

use crate::clock;
use crate::edge::Edge;
use crate::events::About;
use crate::settings::Limits;
use crate::table::App;
use crate::tunnel::{Tunnel, take_silent};
use crate::vitals::ClosedBy;

const EVERY: Duration = Duration::from_millis(500);
/// How far use has to fall before a level is left, so that it does not flap.
const SLACK: f64 = 0.05;
/// A tunnel in which nothing moved for so long is idle.
const IDLE: Duration = Duration::from_secs(5);
/// Idle tunnels that are closed at once, so 100 a second: their clients will be back.
const CLOSED_AT_ONCE: usize = 50;

/// How long a new connection may say nothing when the edge is full.
pub const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Waits until the edge is full, and that long before it looks.
pub async fn full_after(level: &watch::Sender<Level>, time: Duration) {
    tokio::time::sleep(time).await;
    // An error says that the edge is gone.
    let _ = level.subscribe().wait_for(|level| *level >= Level::Full).await;
}

/// How much of what there is to use is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    Calm,
    /// Connections of owners over their share are closed as they become idle.
    Tight,
    /// And owners over their share get no more requests through; whoever connects has to speak at once.
    Full,
    /// And their idle tunnels are closed, a few at a time.
    Spent,
}

impl Level {
    /// `used` is a ratio; each level begins at its mark.
    pub fn next(self, used: f64, marks: Marks) -> Self {
        let reached = |level: Self, from: f64| used >= if self >= level { from - SLACK } else { from };
        if reached(Self::Spent, marks.spent) {
            Self::Spent
        } else if reached(Self::Full, marks.full) {
            Self::Full
        } else if reached(Self::Tight, marks.tight) {
            Self::Tight
        } else {
            Self::Calm
        }
    }
}

/// Where the levels begin, as ratios.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    pub tight: f64,
    pub full: f64,
    pub spent: f64,
}

impl Marks {
    fn of(limits: &Limits) -> Self {
        let ratio = |percent: usize| percent as f64 / 100.0;
        Self { tight: ratio(limits.tight_percent), full: ratio(limits.full_percent), spent: ratio(limits.spent_percent) }
    }
}

/// What each of those who use something may have, if together they may have `budget`: who uses less keeps
/// what it has, and the others share the rest.
pub fn fair_share(mut used: Vec<usize>, budget: usize) -> usize {
    used.sort_unstable();
    let mut left = budget;
    for (n, one) in used.iter().enumerate() {
        let share = left / (used.len() - n);
        if *one > share {
            return share;
        }
        left -= one;
    }
    // All of them fit.
    usize::MAX
}

/// How many idle sockets each owner gives, who has so many `(too many, idle)`, if no more than `most` are to
/// be given together: those first who have most too many.
pub fn who_gives(owners: &[(usize, usize)], most: usize) -> Vec<usize> {
    let mut order: Vec<_> = owners.iter().enumerate().collect();
    order.sort_by_key(|(_, (excess, _))| Reverse(*excess));
    let mut left = most;
    let mut gives = vec![0; owners.len()];
    for (n, (excess, idle)) in order {
        let count = (*excess).min(*idle).min(left);
        left -= count;
        gives[n] = count;
    }
    gives
}

/// Looks how much is used, and says who is over their share, for as long as the process lives.
pub async fn watch(edge: Arc<Edge>) {
    let mut ticks = tokio::time::interval(EVERY);
    let mut before = Level::Calm;
    loop {
        ticks.tick().await;
        let limits = &edge.settings.limits;
        let connections = edge.connections() as f64 / limits.connections as f64;
        let memory = edge.memory.used_ratio();
        let level = before.next(connections.max(memory), Marks::of(limits));
        if level == Level::Calm && before == Level::Calm {
            continue;
        }
        let greedy = judge(&edge, level, connections, memory);
        if level == Level::Spent {
            close_idle_tunnels(&edge, greedy);
        }
        if level > before {
            let kind = if level >= Level::Full { EventKind::LimitHit } else { EventKind::LimitNear };
            let cause = format!("{:.0} % of connections, {:.0} % of memory", connections * 100.0, memory * 100.0);
            edge.events.tell(kind, About { cause: Some(cause), ..About::default() });
        }
        before = level;
        edge.level.send_if_modified(|told| std::mem::replace(told, level) != level || level > Level::Calm);
    }
}

/// An owner with more than a fair share, and more than the others.
#[derive(Debug, Default)]
struct Greedy {
    excess: usize,
    apps: Vec<AppId>,
}

/// Marks the apps whose owners use more than their share; gives those of these owners who have sockets to give.
fn judge(edge: &Edge, level: Level, connections: f64, memory: f64) -> Vec<Greedy> {
    let table = edge.apps.pin();
    let mut by_owner: HashMap<&str, usize> = HashMap::new();
    let uses = |app: &App| app.vitals.connections.load(Relaxed) as usize + app.vitals.sockets.load(Relaxed) as usize;
    for app in table.iter() {
        let used = uses(app);
        if used > 0 {
            *by_owner.entry(app.wire.owner.as_str()).or_default() += used;
        }
    }
    let limits = &edge.settings.limits;
    let most = limits.connections * limits.tight_percent / 100;
    let all: usize = by_owner.values().sum();
    // Memory has no owner. What is left of it is shared as the connections are.
    let budget = if memory > connections { most.min(all * limits.tight_percent / 100) } else { most };
    let share = if level == Level::Calm { usize::MAX } else { fair_share(by_owner.values().copied().collect(), budget) };
    // Who has no more than the others is asked to wait, but keeps the sockets it has.
    let equal = all.div_ceil(by_owner.len().max(1));
    let mut greedy: HashMap<&str, Greedy> = HashMap::new();
    for app in table.iter() {
        let owner = app.wire.owner.as_str();
        let used = by_owner.get(owner).copied().unwrap_or_default();
        app.vitals.over_share.store(used > share, Relaxed);
        let excess = used.saturating_sub(share.max(equal));
        if excess > 0 {
            let owner = greedy.entry(owner).or_default();
            owner.excess = excess;
            owner.apps.push(app.id.clone());
        }
    }
    greedy.into_values().collect()
}

/// Closes idle tunnels of these owners, those first that have been silent longest.
fn close_idle_tunnels(edge: &Edge, mut greedy: Vec<Greedy>) {
    let silent_since = clock::millis().saturating_sub(IDLE.as_secs() * 1_000);
    let owner_of: HashMap<AppId, usize> =
        greedy.iter_mut().enumerate().flat_map(|(n, owner)| owner.apps.drain(..).map(move |app| (app, n))).collect();
    let mut idle: Vec<Vec<Arc<Tunnel>>> = greedy.iter().map(|_| Vec::new()).collect();
    for tunnel in edge.tunnels.all() {
        let Some(n) = owner_of.get(&tunnel.instance.app).copied() else { continue };
        if !tunnel.is_open() {
            // Given already: its client has not left yet.
            greedy[n].excess = greedy[n].excess.saturating_sub(1);
        } else if tunnel.moved_at() <= silent_since {
            idle[n].push(tunnel);
        }
    }
    let owners: Vec<_> = greedy.iter().zip(&idle).map(|(owner, idle)| (owner.excess, idle.len())).collect();
    for (mut idle, count) in idle.into_iter().zip(who_gives(&owners, CLOSED_AT_ONCE)) {
        take_silent(&mut idle, count).iter().for_each(|tunnel| tunnel.close(ClosedBy::Limit, EVERY));
    }
}

/// The memory that the process may use.
#[derive(Debug)]
pub struct Memory {
    bytes_max: u64,
}

const PAGE_BYTES: u64 = 4_096;

impl Memory {
    /// As much as the settings say; 0: what the control group allows, or else what the machine has.
    pub fn new(bytes_max: u64) -> Self {
        let group = || fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?.trim().parse().ok();
        let machine = || {
            let text = fs::read_to_string("/proc/meminfo").ok()?;
            let kib: u64 =
                text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
            Some(kib * 1_024)
        };
        let found = Some(bytes_max).filter(|bytes| *bytes > 0).or_else(|| group().into_iter().chain(machine()).min());
        Self { bytes_max: found.unwrap_or(u64::MAX) }
    }

    /// What the process holds, of what it may; 0 where that cannot be known.
    pub fn used_ratio(&self) -> f64 {
        let resident = || fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse::<u64>().ok();
        resident().map_or(0.0, |pages| (pages * PAGE_BYTES) as f64 / self.bytes_max as f64)
    }
}

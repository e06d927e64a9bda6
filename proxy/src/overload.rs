//! When the process runs out of connections or memory: who has to give, and what is given up first.
//!
//! Decided twice a second from counts; the decision is pure. Nobody who keeps to a fair share notices.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use karman_contract::event::EventKind;

use crate::edge::Edge;
use crate::events::About;
use crate::table::App;

const EVERY: Duration = Duration::from_millis(500);
/// How far use has to fall before a level is left, so that it does not flap.
const SLACK: f64 = 0.05;

/// How much of what there is to use is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    Calm,
    /// Connections of owners over their share are closed as they become idle.
    Tight,
    /// And owners over their share get no more requests through; whoever connects has to speak at once.
    Full,
}

impl Level {
    /// `used` is a ratio; `tight` and `full` are where the levels begin.
    pub fn next(self, used: f64, tight: f64, full: f64) -> Self {
        let reached = |level: Self, from: f64| used >= if self >= level { from - SLACK } else { from };
        if reached(Self::Full, full) {
            Self::Full
        } else if reached(Self::Tight, tight) {
            Self::Tight
        } else {
            Self::Calm
        }
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

/// Looks how much is used, and says who is over their share, for as long as the process lives.
pub async fn watch(edge: Arc<Edge>) {
    let mut ticks = tokio::time::interval(EVERY);
    let mut before = Level::Calm;
    loop {
        ticks.tick().await;
        let limits = &edge.settings.limits;
        let connections = edge.connections() as f64 / limits.connections as f64;
        let memory = edge.memory.used_ratio();
        let ratio = |percent: usize| percent as f64 / 100.0;
        let used = connections.max(memory);
        let level = before.next(used, ratio(limits.tight_percent), ratio(limits.full_percent));
        if level == Level::Calm && before == Level::Calm {
            continue;
        }
        judge(&edge, level, connections, memory);
        if level > before {
            let kind = if level == Level::Full { EventKind::LimitHit } else { EventKind::LimitNear };
            let cause = format!("{:.0} % of connections, {:.0} % of memory", connections * 100.0, memory * 100.0);
            edge.events.tell(kind, About { cause: Some(cause), ..About::default() });
        }
        before = level;
        edge.level.send_if_modified(|told| std::mem::replace(told, level) != level || level > Level::Calm);
    }
}

/// Marks the apps whose owners use more than their share.
fn judge(edge: &Edge, level: Level, connections: f64, memory: f64) {
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
    // Memory has no owner. What is left of it is shared as the connections are.
    let budget = if memory > connections { most.min(edge.connections() * limits.tight_percent / 100) } else { most };
    let share = if level == Level::Calm { usize::MAX } else { fair_share(by_owner.values().copied().collect(), budget) };
    for app in table.iter() {
        let over = by_owner.get(app.wire.owner.as_str()).is_some_and(|used| *used > share);
        app.vitals.over_share.store(over, Relaxed);
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

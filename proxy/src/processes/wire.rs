//! What the processes of an edge say to one another: orders and answers, each a line of JSON.
//!
//! They may be one release apart, so what is not known is passed over and what may be missing has a default.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jiff::Timestamp;
use karman_contract::document::Stamp;
use karman_contract::name::AppId;
use serde::{Deserialize, Serialize};

use crate::vitals::{Books, ClosedBy, Which};

/// What the current process wants of a previous one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Answered by a [`Report`].
    Report,
    /// Close so many tunnels of an instance, those that have been silent longest first, one after the other
    /// over `spread_ms`, to be gone within `within_ms`. Answered by the [`Carried`] of the instance.
    Close {
        of: Which,
        count: usize,
        #[serde(default)]
        spread_ms: u64,
        within_ms: u64,
    },
    /// Close so many tunnels that have been open for at least that long, the oldest first, whichever their
    /// app, one after the other over `spread_ms`. Answered by their number.
    CloseOld {
        count: usize,
        #[serde(default)]
        spread_ms: u64,
        after_ms: u64,
    },
    /// The apps document changed: that many bytes of a whole document, or of a delta, follow. Answered by [`Done`].
    Change { whole: bool, bytes: usize },
    /// Whoever publishes the apps has said lately that they are true. Answered by [`Done`].
    Confirm,
    /// Close all tunnels and end: within that time, or at the pace of their apps. Answered by [`Done`].
    #[serde(rename = "leave")]
    Quit {
        #[serde(default)]
        within_ms: Option<u64>,
    },
}

/// What a previous process says to an order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer<A> {
    Good(A),
    Refused(String),
}

/// The answer to an order that asks for nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {}

/// What a previous process carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub pid: u32,
    pub taken_over_at: Timestamp,
    /// When it begins to close its tunnels.
    pub closes_at: Timestamp,
    pub connections: u64,
    pub tunnels: u64,
    /// The apps document that it has.
    #[serde(default)]
    pub apps: Option<Stamp>,
    /// Instances that it holds a tunnel or a request of.
    #[serde(default)]
    pub carried: Vec<Carried>,
    /// What it has counted in all, of apps that it carries or carried tunnels of.
    #[serde(default)]
    pub counted: BTreeMap<AppId, Counters>,
    /// The same of their instances.
    #[serde(default)]
    pub counted_at: Vec<InstanceCounters>,
}

impl Report {
    /// In the order of the instances, as it is kept: of thousands each is then found without a look at the others.
    pub fn sorted(mut self) -> Self {
        self.carried.sort_by(|a, b| a.of.cmp(&b.of));
        self.counted_at.sort_by(|a, b| a.of.cmp(&b.of));
        self
    }

    /// What is carried of an instance, of a report that is sorted.
    pub fn carried_of(&self, of: &Which) -> &[Carried] {
        self.carried.get(place(&self.carried, of, |carried| &carried.of)).unwrap_or_default()
    }

    /// What was counted of an instance, of a report that is sorted.
    pub fn counted_of(&self, of: &Which) -> Option<&Counters> {
        let found = self.counted_at.get(place(&self.counted_at, of, |counted| &counted.of))?;
        found.first().map(|found| &found.counted)
    }

    /// Takes what is carried of one instance into a report that is sorted, in place of what was known of it.
    pub fn put(&mut self, carried: Carried) {
        let place = place(&self.carried, &carried.of, |carried| &carried.of);
        let is_something = carried.tunnels + carried.in_flight > 0;
        self.carried.splice(place, is_something.then_some(carried));
    }

    /// What is known of a process that has not said anything yet: that it is there.
    pub fn of_silent(pid: u32) -> Self {
        let now = Timestamp::now();
        let (carried, counted, counted_at) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { pid, taken_over_at: now, closes_at: now, connections: 0, tunnels: 0, apps: None, carried, counted, counted_at }
    }
}

/// Where those of an instance stand.
fn place<T>(sorted: &[T], of: &Which, which: impl Fn(&T) -> &Which) -> Range<usize> {
    sorted.partition_point(|one| which(one) < of)..sorted.partition_point(|one| which(one) <= of)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceCounters {
    #[serde(flatten)]
    pub of: Which,
    #[serde(flatten)]
    pub counted: Counters,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    #[serde(flatten)]
    pub of: Which,
    pub tunnels: u64,
    pub in_flight: u64,
    /// What is left of the time that its drain may take, where the process had begun one.
    #[serde(default)]
    pub left_ms: Option<u64>,
    /// How long the oldest of the tunnels has been open.
    #[serde(default)]
    pub oldest_ms: Option<u64>,
}

/// Numbers of an app or of an instance that only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    #[serde(default)]
    pub opened: u64,
    /// Tunnels, by who closed them.
    #[serde(default)]
    pub closed: BTreeMap<String, u64>,
    #[serde(default)]
    pub bytes_in: u64,
    #[serde(default)]
    pub bytes_out: u64,
}

impl Counters {
    pub fn of(books: &Books) -> Self {
        let closed = ClosedBy::ALL.iter().map(|by| (by.as_str().to_owned(), books.closed(*by).load(Relaxed)));
        Self {
            opened: books.opened.load(Relaxed),
            closed: closed.collect(),
            bytes_in: books.bytes_in.load(Relaxed),
            bytes_out: books.bytes_out.load(Relaxed),
        }
    }

    /// Takes into the books what was counted since `before`.
    pub fn add_since(&self, before: &Self, books: &Books) {
        let add = |to: &AtomicU64, now: u64, before: u64| {
            to.fetch_add(now.saturating_sub(before), Relaxed);
        };
        let closed = |counted: &Self, by: ClosedBy| counted.closed.get(by.as_str()).copied().unwrap_or(0);
        add(&books.opened, self.opened, before.opened);
        for by in ClosedBy::ALL {
            add(books.closed(by), closed(self, by), closed(before, by));
        }
        add(&books.bytes_in, self.bytes_in, before.bytes_in);
        add(&books.bytes_out, self.bytes_out, before.bytes_out);
    }
}

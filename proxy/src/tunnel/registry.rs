//! All open tunnels of the process: for their idle limits, and to end them at a pace.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use karman_contract::name::AppId;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Tunnel;
use crate::clock;
use crate::vitals::{ClosedBy, Which};

/// How often idle tunnels are looked for: one timer for all of them.
const SWEEP: Duration = Duration::from_secs(1);

/// The open tunnels.
#[derive(Debug, Default)]
pub struct Tunnels {
    /// By the instance that they lead to, for each is emptied by itself; then by where a tunnel stands in memory.
    open: DashMap<Which, HashMap<usize, Arc<Tunnel>>>,
}

/// That a tunnel is among the open ones, until this is dropped.
#[derive(Debug)]
pub struct Registration {
    tunnels: Arc<Tunnels>,
    pub tunnel: Arc<Tunnel>,
}

impl Tunnels {
    pub fn enter(self: &Arc<Self>, tunnel: Arc<Tunnel>) -> Registration {
        self.open.entry(Which::of(&tunnel.instance)).or_default().insert(address(&tunnel), Arc::clone(&tunnel));
        Registration { tunnels: Arc::clone(self), tunnel }
    }

    pub fn len(&self) -> usize {
        self.open.iter().map(|open| open.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn all(&self) -> Vec<Arc<Tunnel>> {
        let mut all = Vec::new();
        for open in &self.open {
            all.extend(open.values().cloned());
        }
        all
    }

    /// The tunnels to an instance, those too that were told to close. It costs as much as there are of these.
    pub fn to(&self, instance: &Which) -> Vec<Arc<Tunnel>> {
        self.open.get(instance).map(|open| open.values().cloned().collect()).unwrap_or_default()
    }

    /// How long the oldest tunnel to an instance has been open.
    pub fn oldest_to(&self, instance: &Which) -> Option<Duration> {
        let opened = self.open.get(instance)?.values().map(|tunnel| tunnel.opened_at()).min()?;
        Some(Duration::from_millis(clock::millis().saturating_sub(opened)))
    }

    /// All tunnels that were not told to close yet, those first that were opened first.
    pub fn oldest(&self) -> Vec<Arc<Tunnel>> {
        let mut open = self.all();
        open.retain(|tunnel| tunnel.is_open());
        open.sort_by_key(|tunnel| tunnel.opened_at());
        open
    }

    /// Closes tunnels in which nothing moves any more. Runs for the life of the process.
    pub async fn sweep(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            let now = clock::millis();
            for open in &self.open {
                for tunnel in open.values() {
                    if let Some(by) = tunnel.is_over(now) {
                        tunnel.close(by, Duration::ZERO);
                    }
                }
            }
        }
    }

    /// Closes all tunnels, spread evenly over `window`.
    pub async fn close_over(&self, window: Duration, by: ClosedBy) {
        close_over(in_no_order(self.all()), window, window, by).await;
    }

    /// Closes those that were not told to by now, such as one that was still being opened when all others were.
    pub fn close_rest(&self, by: ClosedBy) {
        self.all().iter().filter(|tunnel| tunnel.is_open()).for_each(|tunnel| tunnel.close(by, Duration::ZERO));
    }

    /// Closes all tunnels, those of each app spread evenly over the window that is given for the app and
    /// the number of its tunnels.
    pub async fn close_apps_over(&self, by: ClosedBy, window: impl Fn(&AppId, usize) -> Duration) {
        let mut apps: BTreeMap<AppId, Vec<Arc<Tunnel>>> = BTreeMap::new();
        for tunnel in self.all() {
            apps.entry(tunnel.instance.app.clone()).or_default().push(tunnel);
        }
        let mut closing = JoinSet::new();
        for (app, tunnels) in apps {
            let window = window(&app, tunnels.len());
            closing.spawn(close_over(in_no_order(tunnels), window, window, by));
        }
        closing.join_all().await;
    }
}

fn address(tunnel: &Arc<Tunnel>) -> usize {
    Arc::as_ptr(tunnel).addr()
}

fn in_no_order(mut tunnels: Vec<Arc<Tunnel>>) -> Vec<Arc<Tunnel>> {
    fastrand::shuffle(&mut tunnels);
    tunnels
}

/// Closes tunnels, one after the other, spread evenly over `spread`; all are to be gone `within` a time from now.
///
/// To Meteor the rate of closes is the rate of reconnects: its clients are back after 10 ms. And whoever
/// shares the machine waits behind each crowd of them.
pub async fn close_over(tunnels: Vec<Arc<Tunnel>>, spread: Duration, within: Duration, by: ClosedBy) {
    let Ok(count) = u32::try_from(tunnels.len()) else { return };
    let start = Instant::now();
    for (n, tunnel) in (1..=count).zip(tunnels) {
        tunnel.close(by, (start + within).saturating_duration_since(Instant::now()));
        sleep_until(start + spread.mul_f64(f64::from(n) / f64::from(count))).await;
    }
}

/// Takes out so many of these tunnels: those that have been silent longest have the least to lose.
pub fn take_silent(open: &mut Vec<Arc<Tunnel>>, count: usize) -> Vec<Arc<Tunnel>> {
    if count == 0 {
        return Vec::new();
    }
    // The silent ones last, where they are taken from.
    open.sort_by_key(|tunnel| std::cmp::Reverse(tunnel.moved_at()));
    open.split_off(open.len().saturating_sub(count))
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Entry::Occupied(mut open) = self.tunnels.open.entry(Which::of(&self.tunnel.instance)) {
            open.get_mut().remove(&address(&self.tunnel));
            if open.get().is_empty() {
                open.remove();
            }
        }
    }
}

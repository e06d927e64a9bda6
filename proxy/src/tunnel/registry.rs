//! All open tunnels of the process: for their idle limits, and to end them at a pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dashmap::DashMap;

use super::Tunnel;
use crate::clock;
use crate::vitals::{ClosedBy, InstanceVitals};

/// How often idle tunnels are looked for: one timer for all of them.
const SWEEP: Duration = Duration::from_secs(1);

/// The open tunnels.
#[derive(Debug, Default)]
pub struct Tunnels {
    open: DashMap<u64, Arc<Tunnel>>,
    next: AtomicU64,
}

/// A tunnel's place among the open ones; it leaves when this is dropped.
#[derive(Debug)]
pub struct Place {
    tunnels: Arc<Tunnels>,
    id: u64,
}

impl Tunnels {
    pub fn enter(self: &Arc<Self>, tunnel: Arc<Tunnel>) -> Place {
        let id = self.next.fetch_add(1, Relaxed);
        self.open.insert(id, tunnel);
        Place { tunnels: Arc::clone(self), id }
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The tunnels to an instance that were not told to close yet.
    pub fn of(&self, instance: &Arc<InstanceVitals>) -> Vec<Arc<Tunnel>> {
        let of_it = |tunnel: &Tunnel| Arc::ptr_eq(&tunnel.instance, instance) && !tunnel.is_told();
        self.open.iter().filter(|tunnel| of_it(tunnel)).map(|tunnel| Arc::clone(tunnel.value())).collect()
    }

    /// All tunnels that were not told to close yet, those first that were opened first.
    pub fn oldest(&self) -> Vec<Arc<Tunnel>> {
        let mut open: Vec<_> =
            self.open.iter().filter(|tunnel| !tunnel.is_told()).map(|tunnel| Arc::clone(tunnel.value())).collect();
        open.sort_by_key(|tunnel| tunnel.opened_at());
        open
    }

    /// Closes tunnels in which nothing moves any more. Runs for the life of the process.
    pub async fn sweep(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            let now = clock::millis();
            for tunnel in &self.open {
                if let Some(by) = tunnel.is_over(now) {
                    tunnel.close(by, Duration::ZERO);
                }
            }
        }
    }

    /// Closes all tunnels, one after the other in no order, spread evenly over `window`.
    ///
    /// To Meteor the rate of closes is the rate of reconnects: its clients are back after 10 ms.
    pub async fn close_over(&self, window: Duration, by: ClosedBy) {
        let mut tunnels: Vec<_> = self.open.iter().map(|tunnel| Arc::clone(tunnel.value())).collect();
        fastrand::shuffle(&mut tunnels);
        let Ok(count) = u32::try_from(tunnels.len()) else { return };
        let start = tokio::time::Instant::now();
        for (n, tunnel) in (1..=count).zip(tunnels) {
            tunnel.close(by, (start + window).saturating_duration_since(tokio::time::Instant::now()));
            tokio::time::sleep_until(start + window.mul_f64(f64::from(n) / f64::from(count))).await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tunnels.open.remove(&self.id);
    }
}

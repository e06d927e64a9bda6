//! Draining an instance: its tunnels are closed at the pace at which the others can take their clients.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use karman_contract::app::InstanceState;
use karman_contract::event::EventKind;
use karman_contract::name::{AppId, InstanceId};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::events::{About, Events};
use crate::health::jitter;
use crate::live::Live;
use crate::table::{App, Apps, Change, Instance};
use crate::tunnel::Tunnels;
use crate::vitals::{ClosedBy, InstanceVitals};

/// How often some are closed. Short enough that a client meets no crowd of others.
const TICK: Duration = Duration::from_millis(50);

/// Follows the table, and empties the instances that are about to go.
#[derive(Debug)]
pub struct Drains {
    apps: Arc<Live<Apps>>,
    tunnels: Arc<Tunnels>,
    events: Arc<Events>,
}

/// How many tunnels to close a second.
///
/// To Meteor the rate of closes is the rate of reconnects. So it is what the `takers` admit, together;
/// more only where the rest would not be gone within the time that is left. While nobody takes them,
/// they stay where they are, until the time that their going takes at one instance's rate is all that is left.
pub fn pace(tunnels: usize, takers: usize, sockets_per_second: u32, left: Duration) -> f64 {
    let one = if sockets_per_second == 0 { f64::INFINITY } else { f64::from(sockets_per_second) };
    let needed = tunnels as f64 / left.as_secs_f64().max(TICK.as_secs_f64());
    match takers {
        0 if needed < one => 0.0,
        takers => needed.max(one * takers as f64),
    }
}

impl Drains {
    pub fn new(apps: Arc<Live<Apps>>, tunnels: Arc<Tunnels>, events: Arc<Events>) -> Self {
        Self { apps, tunnels, events }
    }

    /// Starts a drain for every instance that the change sends away.
    pub fn follow(self: &Arc<Self>, change: &Change) {
        let Some(before) = &change.before else { return };
        for instance in before.instances.iter().filter(|instance| instance.state != InstanceState::Draining) {
            if is_leaving(change.after.as_deref(), &instance.vitals) {
                self.start(before, instance);
            }
        }
    }

    fn start(self: &Arc<Self>, app: &App, instance: &Instance) {
        let about = About { app: Some(app.id.clone()), instance: Some(instance.id.clone()), ..About::default() };
        self.events.tell(EventKind::InstanceDraining, about);
        let window = Duration::from_secs(app.wire.drain.window_seconds.into());
        let per_second = app.wire.limits.sockets_per_second;
        let leaving = Leaving {
            app: app.id.clone(),
            id: instance.id.clone(),
            vitals: Arc::clone(&instance.vitals),
            per_second,
            deadline: Instant::now() + window,
        };
        let drains = Arc::clone(self);
        tokio::spawn(async move { drains.drain(leaving).await });
    }

    async fn drain(&self, leaving: Leaving) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = 0.0;
        let mut last = Instant::now();
        while !leaving.vitals.idle() {
            tick.tick().await;
            let table = self.apps.pin();
            let app = table.get(leaving.app.as_str());
            if !is_leaving(app.map(Arc::as_ref), &leaving.vitals) {
                // It was taken back.
                return;
            }
            let takers = app.map_or(0, |app| app.instances.iter().filter(|i| i.takes_new_clients() && i.vitals.usable()).count());
            let takers = if app.is_some_and(|app| app.vitals.is_down()) { 0 } else { takers };
            let mut tunnels = self.tunnels.of(&leaving.vitals);
            let left = leaving.deadline.saturating_duration_since(Instant::now());
            due += pace(tunnels.len(), takers, leaving.per_second, left) * last.elapsed().as_secs_f64() * jitter(fastrand::f64());
            last = Instant::now();
            // Those that have been silent longest have the least to lose.
            tunnels.sort_by_key(|tunnel| tunnel.moved_at());
            // Truncation is meant: what is left of a tunnel is closed in the next tick.
            let now = (due as usize).min(tunnels.len());
            for tunnel in tunnels.iter().take(now) {
                tunnel.close(ClosedBy::Drain, left);
            }
            due = (due - now as f64).clamp(0.0, 1.0);
        }
        let about = About { app: Some(leaving.app), instance: Some(leaving.id), ..About::default() };
        self.events.tell(EventKind::InstanceDrained, about);
    }
}

/// An instance that is being emptied.
struct Leaving {
    app: AppId,
    id: InstanceId,
    vitals: Arc<InstanceVitals>,
    per_second: u32,
    deadline: Instant,
}

fn is_leaving(app: Option<&App>, vitals: &Arc<InstanceVitals>) -> bool {
    let stays = |instance: &Instance| Arc::ptr_eq(&instance.vitals, vitals) && instance.state != InstanceState::Draining;
    !app.is_some_and(|app| app.instances.iter().any(stays))
}

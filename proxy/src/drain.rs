//! Draining an instance: its tunnels are closed at the pace at which the others can take their clients.
//!
//! One process of an edge drains, the current one, for all of them.

pub mod pace;
pub mod steps;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use karman_contract::app::InstanceState;
use karman_contract::event::EventKind;
use tokio::time::Instant;

use self::pace::{Strain, pace};
use self::steps::{SPREAD, Steps};
use crate::admission::takes_per_second;
use crate::clock;
use crate::events::{About, Events};
use crate::exchange::Exchange;
use crate::live::Live;
use crate::processes::Processes;
use crate::processes::wire::Report;
use crate::share::Share;
use crate::table::{App, Apps, Change, Instance};
use crate::tunnel::{Tunnel, Tunnels, close_over, take_silent};
use crate::vitals::{ClosedBy, InstanceVitals, Which, lock};

/// How often it is looked anew which tunnels there are, here and in the previous processes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// For how long a slow connection tells something of an instance.
const CONNECT_FRESH: Duration = Duration::from_secs(5);

/// Follows the table, and empties the instances that are about to go.
#[derive(Debug)]
pub struct Drains {
    apps: Arc<Live<Apps>>,
    tunnels: Arc<Tunnels>,
    processes: Arc<Processes>,
    events: Arc<Events>,
    share: Arc<Share>,
    running: Mutex<HashMap<Which, Arc<InstanceDrain>>>,
    /// Set once: another process drains now.
    retired: AtomicBool,
}

/// An instance that is being emptied.
#[derive(Debug)]
struct InstanceDrain {
    of: Which,
    vitals: Arc<InstanceVitals>,
    deadline: Instant,
}

impl InstanceDrain {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl Drains {
    pub fn new(
        apps: Arc<Live<Apps>>,
        tunnels: Arc<Tunnels>,
        processes: Arc<Processes>,
        events: Arc<Events>,
        share: Arc<Share>,
    ) -> Self {
        Self { apps, tunnels, processes, events, share, running: Mutex::default(), retired: AtomicBool::new(false) }
    }

    /// Starts a drain for every instance that the change sends away.
    pub fn follow(self: &Arc<Self>, change: &Change) {
        let Some(before) = &change.before else { return };
        for instance in before.instances.iter().filter(|instance| instance.state != InstanceState::Draining) {
            if !stays(change.after.as_deref(), &Which::of(&instance.vitals)) {
                let about = About { app: Some(before.id.clone()), instance: Some(instance.id.clone()), ..About::default() };
                self.events.tell(EventKind::InstanceDraining, about);
                self.start(Arc::clone(&instance.vitals), window(before));
            }
        }
    }

    /// Goes on with what a previous process carries of instances that are leaving.
    pub fn adopt(self: &Arc<Self>, report: &Report) {
        let table = self.apps.pin();
        for carried in &report.carried {
            let app = table.get(carried.of.app.as_str());
            if stays(app.map(Arc::as_ref), &carried.of) {
                continue;
            }
            let known = app.and_then(|app| app.instances.iter().find(|instance| carried.of.is(&instance.vitals)));
            let vitals = match known {
                Some(instance) => Arc::clone(&instance.vitals),
                None => Arc::new(InstanceVitals::new(carried.of.app.clone(), carried.of.instance.clone(), carried.of.address)),
            };
            let left = carried.left_ms.map(Duration::from_millis);
            self.start(vitals, left.or_else(|| app.map(|app| window(app))).unwrap_or_default());
        }
    }

    /// Leaves all to the process that takes over.
    pub fn retire(&self) {
        self.retired.store(true, Relaxed);
    }

    /// What is left of the time for the drain of an instance, if there is one.
    pub fn left(&self, of: &Which) -> Option<Duration> {
        lock(&self.running).get(of).map(|drain| drain.left())
    }

    fn start(self: &Arc<Self>, vitals: Arc<InstanceVitals>, window: Duration) {
        let drain = Arc::new(InstanceDrain { of: Which::of(&vitals), vitals, deadline: Instant::now() + window });
        match lock(&self.running).entry(drain.of.clone()) {
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => place.insert(Arc::clone(&drain)),
        };
        let drains = Arc::clone(self);
        tokio::spawn(async move {
            let mut drained = drains.empty(&drain).await;
            while !drains.ends(&drain, drained) {
                drained = drains.empty(&drain).await;
            }
            if drained {
                let (app, instance) = (drain.of.app.clone(), drain.of.instance.clone());
                let about = About { app: Some(app), instance: Some(instance), ..About::default() };
                drains.events.tell(EventKind::InstanceDrained, about);
            }
        });
    }

    /// Takes a drain off the list, unless its instance was sent away again since it was found to stay: whoever did
    /// that found the drain there, and started none.
    fn ends(&self, drain: &InstanceDrain, drained: bool) -> bool {
        let mut running = lock(&self.running);
        // Then the list stays as it is: the process that drains now asks for it.
        let is_retired = self.retired.load(Relaxed);
        if !is_retired && !drained && !stays(self.apps.pin().get(drain.of.app.as_str()).map(Arc::as_ref), &drain.of) {
            return false;
        }
        if !is_retired {
            running.remove(&drain.of);
        }
        true
    }

    /// Whether it was emptied; not if it was taken back, or another process empties it now.
    async fn empty(&self, drain: &InstanceDrain) -> bool {
        let mut steps = Steps::begin();
        let mut looked = None::<Instant>;
        let mut open: Vec<Arc<Tunnel>> = Vec::new();
        let mut refusals = None;
        loop {
            steps.next().await;
            if self.retired.load(Relaxed) {
                return false;
            }
            let table = self.apps.pin();
            let app = table.get(drain.of.app.as_str());
            if stays(app.map(Arc::as_ref), &drain.of) {
                return false;
            }
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
                self.processes.close(&drain.of, 0, Duration::ZERO, Duration::ZERO).await;
                open = self.tunnels.to(&drain.of);
                looked = Some(Instant::now());
            }
            open.retain(|tunnel| tunnel.is_open());
            let elsewhere = self.processes.hold(&drain.of);
            if drain.vitals.idle() && elsewhere.is_nothing() && self.is_idle(app, &drain.of) {
                return true;
            }
            let one_takes = app.map_or(0.0, |app| self.share.of(app.wire.limits.sockets_per_second));
            let takes = app.and_then(|app| takes_per_second(app, &self.share));
            let strain = app.map(|app| strain(app, &mut refusals)).unwrap_or_default();
            let rate = pace(open.len() + elsewhere.tunnels, takes, strain.ease(), one_takes, drain.left());
            let now = steps.due(rate, open.len() + elsewhere.tunnels);
            let silent = take_silent(&mut open, now);
            let elsewhere = now - silent.len();
            if elsewhere > 0 {
                self.processes.close(&drain.of, elsewhere, SPREAD, drain.left()).await;
            }
            close_over(silent, SPREAD, drain.left(), ClosedBy::Drain).await;
        }
    }

    /// Whether nothing is left of an instance, whichever of its vitals count it: it may have been away and back before.
    fn is_idle(&self, app: Option<&Arc<App>>, of: &Which) -> bool {
        app.is_none_or(|app| app.vitals_of(of).all(|vitals| vitals.idle()))
            && self.tunnels.to(of).iter().all(|tunnel| tunnel.instance.idle())
    }
}

/// Whether an instance is one of the app's and not about to go.
fn stays(app: Option<&App>, of: &Which) -> bool {
    let it = |instance: &Instance| of.is(&instance.vitals) && instance.state != InstanceState::Draining;
    app.is_some_and(|app| app.instances.iter().any(it))
}

fn window(app: &App) -> Duration {
    Duration::from_secs(app.wire.drain.window_seconds.into())
}

/// What the takers show. `refusals` is how many of the app's clients were turned away at the last look.
fn strain(app: &App, refusals: &mut Option<u64>) -> Strain {
    let now = clock::now();
    let turned_away = app.vitals.turned_away();
    let refusing = refusals.replace(turned_away).is_some_and(|before| before < turned_away);
    let takers = || app.instances.iter().filter(|instance| instance.takes());
    let connect = takers().filter_map(|taker| taker.vitals.connect_time(CONNECT_FRESH)).max().unwrap_or_default();
    Strain {
        backlog: takers().map(|taker| taker.vitals.admission.backlog(now)).max().unwrap_or_default(),
        connect_share: connect.as_secs_f64() / Exchange::seconds(app.wire.timeouts.connect_seconds).as_secs_f64(),
        refusing,
    }
}

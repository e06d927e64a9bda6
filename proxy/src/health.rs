//! Health of instances: what traffic tells, what active checks tell, and watching for the return.

mod check;
#[cfg(test)]
mod tests;
mod trust;

use std::net::SocketAddr;
use std::slice;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use karman_contract::code::Code;
use karman_contract::event::EventKind;
use karman_contract::name::{AppId, InstanceId};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

pub use self::check::RunningCheck;
use self::trust::Trust;
use crate::clock;
use crate::events::{About, Events};
use crate::live::Live;
use crate::pick::absence;
use crate::table::{App, Apps, Change, Instance};
use crate::vitals::{InstanceVitals, forget_idle, lock};

/// The longest quarantine.
const QUARANTINE_MAX: Duration = Duration::from_secs(30);
/// How often the instances of an app that is down are asked whether they are back.
const DOWN_RECHECK: Duration = Duration::from_millis(500);
/// The same while clients are held, who wait for nothing else.
const HELD_RECHECK: Duration = Duration::from_millis(50);
/// A watch that found nothing wrong with the connection gives up after this.
const RECHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection must last to show that somebody keeps it.
const KEPT: Duration = Duration::from_millis(100);
/// For how long the answer of an instance that was asked after its sockets broke is good.
const ASKED_FRESH: Duration = Duration::from_millis(500);

/// How long an instance is left alone that was found to take no connection so many times in a row.
pub fn quarantine(failures: u32, chance: f64) -> Duration {
    let seconds = 1_u64 << failures.saturating_sub(1).min(5);
    Duration::from_secs(seconds).min(QUARANTINE_MAX).mul_f64(jitter(chance))
}

/// Within a fifth of the whole, both ways; `chance` from 0 to 1.
pub fn jitter(chance: f64) -> f64 {
    0.8 + 0.4 * chance
}

/// Judges instances and tells what changed.
#[derive(Debug)]
pub struct Health {
    apps: Arc<Live<Apps>>,
    events: Arc<Events>,
    trust: Mutex<Trust>,
}

impl Health {
    /// `trusted` is how long a table is good without a word from whoever publishes it.
    pub fn new(apps: Arc<Live<Apps>>, events: Arc<Events>, trusted: Duration) -> Self {
        Self { apps, events, trust: Mutex::new(Trust::new(trusted, clock::now())) }
    }

    /// A connection was made: whatever was held against the instance is forgotten.
    pub fn connected(&self, app: &App, id: &InstanceId, vitals: &InstanceVitals) {
        // The usual case costs two loads.
        if vitals.failures.load(Relaxed) == 0 && !app.vitals.is_down() {
            return;
        }
        vitals.failures.store(0, Relaxed);
        if vitals.quarantine(false) {
            self.events.tell(EventKind::InstanceRecovered, about(&app.id, id));
        }
        self.app_is_up(app);
    }

    /// A connection was refused or timed out.
    ///
    /// The instance is left alone for a while, unless it is the app's last: then it goes on being tried.
    pub fn connect_failed(self: &Arc<Self>, app: &App, id: &InstanceId, vitals: &Arc<InstanceVitals>, cause: &str) {
        // However many requests found it so at once: how long it is left alone depends on how often its watch did.
        vitals.failures.fetch_max(1, Relaxed);
        self.failed_once(vitals);
        if app.takes_beside(slice::from_ref(vitals)) && vitals.quarantine(true) {
            let about = About { cause: Some(cause.to_owned()), ..about(&app.id, id) };
            self.events.tell(EventKind::InstanceUnhealthy, about);
        }
        self.watch(app.id.clone(), id.clone(), Arc::clone(vitals));
    }

    /// Whether an instance is gone altogether, asked when a socket to it broke. A thousand sockets that
    /// break together ask once.
    pub async fn has_died(self: &Arc<Self>, app: &App, id: &InstanceId, vitals: &Arc<InstanceVitals>) -> bool {
        let mut asked = vitals.asked.lock().await;
        let now = clock::millis();
        if let Some((_, dead)) = asked.filter(|(at, _)| now.saturating_sub(*at) < ASKED_FRESH.as_millis() as u64) {
            return dead;
        }
        let dead = !is_alive(vitals.address).await;
        *asked = Some((clock::millis(), dead));
        if dead {
            self.connect_failed(app, id, vitals, "its sockets broke, and it takes no connection");
            if !app.takes_beside(slice::from_ref(vitals)) {
                self.app_is_down(app);
            }
        }
        dead
    }

    /// A request found no instance that answered.
    ///
    /// Whatever its instances were thought to be a moment ago, from now on they are watched: no request tries them.
    pub fn app_is_down(self: &Arc<Self>, app: &App) {
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(1);
        if app.vitals.down_since.compare_exchange(0, now, Relaxed, Relaxed).is_ok() {
            let cause = match absence(app) {
                _ if app.instances.is_empty() => "it has no instances",
                crate::caller::Absence::Starting => "its instances are starting",
                crate::caller::Absence::Down => "no instance answers",
            };
            let about =
                About { app: Some(app.id.clone()), code: Some(Code::AppDown), cause: Some(cause.to_owned()), ..About::default() };
            self.events.tell(EventKind::AppDown, about);
            // Those who watch its instances look more often from now on.
            app.vitals.changed.notify_waiters();
        }
        for instance in app.instances.iter().filter(|instance| instance.takes_new_clients()) {
            self.watch(app.id.clone(), instance.id.clone(), Arc::clone(&instance.vitals));
        }
    }

    /// Follows a change of the table: checks start and stop, warm-ups begin, those who wait look again.
    pub fn follow(self: &Arc<Self>, change: &Change) {
        let (before, after) = (change.before.as_deref(), change.after.as_deref());
        for instance in before.iter().flat_map(|app| &app.instances) {
            if after.is_none_or(|after| !after.has(&instance.vitals)) {
                *lock(&instance.vitals.check) = None;
                self.depart(change, instance);
            }
        }
        let Some(app) = after else { return };
        for instance in &app.instances {
            self.check_as_asked(app, instance);
            let was_ready = before
                .and_then(|app| app.instance(&instance.id))
                .is_some_and(|was| was.takes_new_clients() && Arc::ptr_eq(&was.vitals, &instance.vitals));
            // All instances of an app that is new here are equally cold: nothing to weigh.
            if instance.takes_new_clients() && !was_ready && before.is_some() {
                instance.vitals.start_warming();
            }
        }
        if app.vitals.is_down() && app.instances.iter().any(|i| i.takes_new_clients() && i.vitals.failures.load(Relaxed) == 0) {
            self.app_is_up(app);
        }
        app.vitals.changed.notify_waiters();
    }

    fn app_is_up(&self, app: &App) {
        let since = app.vitals.down_since.swap(0, Relaxed);
        if since != 0 {
            let since = i64::try_from(since).ok().and_then(|since| Timestamp::from_millisecond(since).ok());
            self.events.tell(EventKind::AppUp, About { app: Some(app.id.clone()), since, ..About::default() });
        }
        app.vitals.changed.notify_waiters();
    }

    fn depart(&self, change: &Change, instance: &Instance) {
        let app = change.after.as_deref().or(change.before.as_deref());
        if let Some(app) = app.filter(|_| !instance.vitals.idle()) {
            let mut departed = lock(&app.vitals.departed);
            forget_idle(&mut departed);
            departed.push((instance.id.clone(), Arc::clone(&instance.vitals)));
        }
    }

    /// Asks a failed instance now and then whether it is back; one watch an instance.
    fn watch(self: &Arc<Self>, app: AppId, id: InstanceId, vitals: Arc<InstanceVitals>) {
        if vitals.watched.swap(true, AcqRel) {
            return;
        }
        let health = Arc::clone(self);
        tokio::spawn(async move {
            while health.until_back(&app, &id, &vitals).await {
                vitals.watched.swap(false, AcqRel);
                // Whoever failed to reach it since it was back found it watched, and left it to us.
                let is_well = vitals.failures.load(Relaxed) == 0 && !health.is_down(&app);
                if is_well || vitals.watched.swap(true, AcqRel) {
                    return;
                }
            }
            vitals.watched.swap(false, AcqRel);
        });
    }

    fn is_down(&self, app: &AppId) -> bool {
        self.apps.pin().get(app.as_str()).is_some_and(|app| app.vitals.is_down())
    }

    /// Returns when the instance takes connections, or with `false` when it is no longer one of the app's.
    async fn until_back(&self, id: &AppId, instance: &InstanceId, vitals: &Arc<InstanceVitals>) -> bool {
        let (mut since, mut chance) = (Instant::now(), fastrand::f64());
        loop {
            // Looked up anew each time: the app may be gone, or its instance moved elsewhere.
            let Some(app) = self.apps.pin().get(id.as_str()).filter(|app| app.has(vitals)).cloned() else { return false };
            // Registered before looking, so that a change in between is not missed.
            let changed = app.vitals.changed.notified();
            let wait = if app.vitals.is_down() {
                let is_awaited = app.vitals.held.load(Relaxed) > 0;
                let recheck = if is_awaited { HELD_RECHECK } else { DOWN_RECHECK };
                recheck.mul_f64(jitter(chance))
            } else {
                quarantine(vitals.failures.load(Relaxed), chance)
            };
            tokio::select! {
                () = sleep_until(since + wait) => {}
                // The app went down meanwhile, or its document changed: the wait may be shorter now. It does not begin anew.
                () = changed, if !app.vitals.is_down() => continue,
            }
            (since, chance) = (Instant::now(), fastrand::f64());
            // Asked again once the table is confirmed.
            if vitals.is_given_up() {
                continue;
            }
            match tokio::time::timeout(RECHECK_TIMEOUT, TcpStream::connect(vitals.address)).await {
                Ok(Ok(_)) => {
                    self.connected(&app, instance, vitals);
                    return true;
                }
                _ => vitals.failures.fetch_add(1, Relaxed),
            };
            self.failed_once(vitals);
        }
    }
}

/// Whether somebody takes a connection and keeps it.
///
/// The kernel may close a dead process's listener after its sockets: what it accepts meanwhile is reset at once.
async fn is_alive(address: SocketAddr) -> bool {
    let Ok(Ok(mut stream)) = tokio::time::timeout(RECHECK_TIMEOUT, TcpStream::connect(address)).await else { return false };
    // No server speaks first over HTTP: silence is life.
    tokio::time::timeout(KEPT, stream.read(&mut [0])).await.is_err()
}

fn about(app: &AppId, instance: &InstanceId) -> About {
    About { app: Some(app.clone()), instance: Some(instance.clone()), ..About::default() }
}

//! The processes of an edge. After an upgrade the previous ones carry their tunnels to their end; the
//! current one takes the clients, knows what the others hold, and decides for all of them.
//!
//! Each previous process listens beside the admin socket, at `SOCKET.previous.PID`: so the current one
//! finds them, also when it was started anew after a crash.

mod known;
mod line;
pub mod previous;
#[cfg(test)]
mod tests;
pub mod wire;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use karman_contract::document::{AppsDelta, Stamp};
use karman_contract::name::AppId;
use karman_contract::status::{Process, Role};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::known::{Gone, Known, sockets};
use self::wire::{Counters, InstanceCounters, Report};
use crate::documents::Table;
use crate::live::Live;
use crate::table::Apps;
use crate::vitals::{Which, lock};

const SUFFIX: &str = ".previous.";
/// Processes of an edge at once, the current one counted. Beyond it the oldest has to go.
const GENERATIONS_MAX: usize = 3;
/// How often each is asked what it holds, unless somebody wants to know it now.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// The previous processes of this edge, as the current one knows them.
#[derive(Debug)]
pub struct Processes {
    admin_socket: PathBuf,
    apps: Arc<Live<Apps>>,
    previous: Mutex<Vec<Arc<Known>>>,
    /// Whether they have been looked for. Before that, nothing can be said of the edge as a whole.
    found: watch::Sender<bool>,
    /// Rings when the apps table was replaced, and stops all when it is dropped.
    table: Mutex<Option<watch::Sender<()>>>,
    /// Rings when the apps were confirmed.
    confirmed: watch::Sender<()>,
}

/// What previous processes hold of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    pub tunnels: usize,
    pub in_flight: u64,
    /// One of them does not answer, or was not found yet: it may hold more.
    pub unsure: bool,
}

impl Elsewhere {
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl Processes {
    pub fn new(admin_socket: &Path, apps: Arc<Live<Apps>>) -> Self {
        let (admin_socket, table) = (admin_socket.to_owned(), Mutex::new(Some(watch::Sender::new(()))));
        let (found, confirmed) = (watch::Sender::new(false), watch::Sender::new(()));
        Self { admin_socket, apps, previous: Mutex::default(), found, table, confirmed }
    }

    /// Looks for previous processes and follows each from now on. If they are more than may be, the oldest is sent away.
    pub async fn find(self: &Arc<Self>) -> io::Result<Vec<Report>> {
        let mut all = Vec::new();
        for path in sockets(&self.admin_socket)? {
            all.extend(Known::at(path).await.map(Arc::new));
        }
        // Those that say nothing yet, last.
        all.sort_by_key(|known| (!known.answers(), known.said(|report| report.taken_over_at)));
        let found: Vec<_> = all.iter().filter(|known| known.answers()).collect();
        let excess = (found.len() + 1).saturating_sub(GENERATIONS_MAX);
        for known in found.iter().take(excess) {
            let (pid, tunnels) = known.said(|report| (report.pid, report.tunnels));
            tracing::info!(pid, tunnels, "the oldest process of the edge goes, at its apps' pace");
            known.quit(None).await;
        }
        let reports: Vec<_> = found.iter().map(|known| known.said(Report::clone)).collect();
        // The counters of what is taken over go on where its last process was; that had taken over the others'.
        if let Some(newest) = reports.last() {
            self.count(None, newest);
        }
        for known in all {
            lock(&self.previous).push(Arc::clone(&known));
            let Some(table) = lock(&self.table).as_ref().map(watch::Sender::subscribe) else { break };
            tokio::spawn(Arc::clone(self).follow(known, table));
        }
        self.found.send_replace(true);
        Ok(reports)
    }

    /// The apps table was replaced: the others hear of it.
    pub fn table_replaced(&self) {
        if let Some(bell) = lock(&self.table).as_ref() {
            bell.send_replace(());
        }
    }

    /// Whoever publishes the apps has said that they are true: the others hear of it, or they would come to doubt it.
    pub fn confirmed(&self) {
        self.confirmed.send_replace(());
    }

    /// Leaves the others to the process that takes over.
    pub fn dismiss(&self) {
        drop(lock(&self.table).take());
        lock(&self.previous).clear();
    }

    /// Sends all previous processes away, to be gone within a time: the whole edge stops.
    pub async fn stop(&self, within: Duration) {
        for known in self.known() {
            known.quit(Some(within)).await;
        }
    }

    /// Asks all of them what they hold now; while they are still being looked for, waits until they are found.
    /// A process that does not get so far ends, and whoever waits with it.
    pub async fn ask(self: &Arc<Self>) {
        // The sender is ours: it cannot be gone.
        let _ = self.found.subscribe().wait_for(|found| *found).await;
        let mut asking = JoinSet::new();
        for known in self.known() {
            let processes = Arc::clone(self);
            asking.spawn(async move { processes.ask_one(&known).await });
        }
        asking.join_all().await;
    }

    /// The previous processes, oldest first, and whether each answered when last asked.
    pub fn reports(&self) -> Vec<(Report, bool)> {
        self.known().iter().map(|known| (known.said(Report::clone), known.answers())).collect()
    }

    /// What the previous processes hold of an instance, as far as is known.
    pub fn hold(&self, of: &Which) -> Elsewhere {
        let mut held = Elsewhere { unsure: !*self.found.borrow(), ..Elsewhere::default() };
        for known in self.known() {
            held.unsure |= !known.answers();
            known.said(|report| {
                for carried in report.carried_of(of) {
                    held.tunnels += usize::try_from(carried.tunnels).unwrap_or(usize::MAX);
                    held.in_flight += carried.in_flight;
                }
            });
        }
        held
    }

    /// Closes so many tunnels of an instance, those of the oldest process first, spread over a time, and learns what is left.
    pub async fn close(&self, of: &Which, mut count: usize, spread: Duration, within: Duration) {
        for known in self.known() {
            count -= known.close(of, count, spread, within).await;
        }
    }

    /// Tunnels that the others hold, by app.
    pub fn tunnels(&self) -> BTreeMap<AppId, u64> {
        let mut tunnels = BTreeMap::new();
        for known in self.known() {
            known.said(|report| {
                for carried in &report.carried {
                    *tunnels.entry(carried.of.app.clone()).or_default() += carried.tunnels;
                }
            });
        }
        tunnels
    }

    /// Client connections of the others.
    pub fn connections(&self) -> u64 {
        self.known().iter().map(|known| known.said(|report| report.connections)).sum()
    }

    /// Closes so many tunnels that have been open for at least that long, those of the oldest process first, spread over a time.
    pub async fn close_old(&self, mut count: usize, spread: Duration, after: Duration) {
        for known in self.known() {
            if count > 0 {
                count = count.saturating_sub(known.close_old(count, spread, after).await);
            }
        }
    }

    /// This process and the others, for the status.
    pub fn list(&self, tunnels: u64) -> Vec<Process> {
        let current = Process { pid: std::process::id(), role: Role::Current, tunnels, closes_at: None };
        let process = |report: &Report| Process {
            pid: report.pid,
            role: Role::Previous,
            tunnels: report.tunnels,
            closes_at: Some(report.closes_at),
        };
        let known = self.known();
        let previous = known.iter().map(|known| known.said(process));
        std::iter::once(current).chain(previous).collect()
    }

    fn known(&self) -> Vec<Arc<Known>> {
        lock(&self.previous).clone()
    }

    async fn ask_one(&self, known: &Arc<Known>) {
        match known.ask().await {
            Ok(Some((before, now))) => self.count(Some(&before), &now),
            Ok(None) => {}
            Err(Gone) => lock(&self.previous).retain(|other| !Arc::ptr_eq(other, known)),
        }
    }

    /// Takes into the books what a previous process has counted between two reports. Without one before, all of it.
    fn count(&self, before: Option<&Report>, now: &Report) {
        let table = self.apps.pin();
        let nothing = Counters::default();
        for (id, now) in &now.counted {
            let Some(app) = table.get(id.as_str()) else { continue };
            let before = before.and_then(|before| before.counted.get(id));
            now.add_since(before.unwrap_or(&nothing), &app.vitals.books);
        }
        for InstanceCounters { of, counted } in &now.counted_at {
            let Some(app) = table.get(of.app.as_str()) else { continue };
            let Some(instance) = app.instances.iter().find(|instance| of.is(&instance.vitals)) else { continue };
            let before = before.and_then(|before| before.counted_of(of));
            counted.add_since(before.unwrap_or(&nothing), &instance.vitals.books);
        }
    }

    /// Keeps one previous process at the table of this one, and asks it what it holds, until it is gone.
    async fn follow(self: Arc<Self>, known: Arc<Known>, mut table: watch::Receiver<()>) {
        let mut has: Option<Arc<Apps>> = None;
        let mut confirmed = self.confirmed.subscribe();
        while self.known().iter().any(|other| Arc::ptr_eq(other, &known)) {
            let now = self.apps.pin();
            if has.as_ref().is_none_or(|has| !Arc::ptr_eq(has, &now)) && self.bring_to(&known, has.as_deref(), &now).await {
                has = Some(now);
            }
            match timeout(ASK_EVERY, table.changed()).await {
                Ok(Ok(())) => {}
                // This process was taken over from: the others are not its business any more.
                Ok(Err(_)) => return,
                Err(_) => self.ask_one(&known).await,
            }
            // The sender is ours: it cannot be gone.
            if confirmed.has_changed().unwrap_or(false) {
                confirmed.mark_unchanged();
                known.confirm().await;
            }
        }
    }

    /// Whether it has this table now. A release that cannot read it goes on with what it has.
    async fn bring_to(&self, known: &Known, has: Option<&Apps>, now: &Arc<Apps>) -> bool {
        let Some(stamp) = now.stamp() else { return true };
        if has.is_none() && known.said(|report| report.apps) == Some(stamp) {
            return true;
        }
        let delta = has.and_then(|has| difference(has, now, stamp)).and_then(|delta| serde_json::to_vec(&delta).ok());
        let mut sent = Err(io::Error::other("there is no delta"));
        if let Some(delta) = delta {
            sent = known.change(false, &delta).await;
        }
        if sent.is_err() {
            let table = Arc::clone(now);
            let written = tokio::task::spawn_blocking(move || {
                let mut whole = Vec::new();
                table.write(&mut whole);
                whole
            });
            sent = known.change(true, &written.await.unwrap_or_default()).await;
        }
        if let Err(e) = &sent {
            let pid = known.said(|report| report.pid);
            tracing::warn!(pid, error = %e, "a previous process did not take a change of the apps; it goes on with what it has");
        }
        sent.is_ok()
    }
}

/// What leads from one table to the next; `None` if no delta can.
fn difference(has: &Apps, now: &Apps, stamp: Stamp) -> Option<AppsDelta> {
    let base = has.stamp().filter(|base| base.epoch == stamp.epoch)?.generation;
    let put = now.iter().filter(|app| has.get(app.id.as_str()).is_none_or(|has| !Arc::ptr_eq(has, app)));
    let remove = has.iter().filter(|app| now.get(app.id.as_str()).is_none());
    Some(AppsDelta {
        stamp,
        base,
        put: put.map(|app| (app.id.clone(), app.wire.clone())).collect(),
        remove: remove.map(|app| app.id.clone()).collect(),
        beside: (),
        // The current process has been through the guard.
        force: true,
    })
}

pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! A process that was taken over from: it carries its tunnels to their end, and does what the current one says.
//!
//! It decides nothing by itself but its own end: two that drain one instance would be twice too fast.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use karman_contract::name::AppId;
use serde::Serialize;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::line;
use super::wire::{Answer, Carried, Counters, Done, InstanceCounters, Order, Report};
use crate::admin::{self, Admin};
use crate::clock;
use crate::documents::Table;
use crate::table::Apps;
use crate::tunnel::{close_over, take_silent};
use crate::vitals::{AppVitals, ClosedBy, InstanceVitals, Which};

/// How long an order may take to come.
const ORDER_TIMEOUT: Duration = Duration::from_secs(30);

/// This process, since it was taken over from.
#[derive(Debug)]
pub struct Previous {
    admin: Arc<Admin>,
    socket: PathBuf,
    listener: UnixListener,
    taken_over_at: Timestamp,
    closes_at: Timestamp,
    /// The apps that it carried tunnels of when it was taken over from.
    apps: BTreeMap<AppId, Arc<AppVitals>>,
    /// And their instances.
    instances: Vec<Arc<InstanceVitals>>,
    told: watch::Sender<Option<Quit>>,
    /// Whether the current process has heard all that was counted here.
    heard: AtomicBool,
}

/// That it is to end, and within what time; `None`: at the pace of its apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quit {
    pub within: Option<Duration>,
}

/// Where a process listens after it was taken over from.
pub(super) fn socket_of(admin_socket: &Path, pid: u32) -> PathBuf {
    let mut path = admin_socket.as_os_str().to_owned();
    path.push(format!("{}{pid}", super::SUFFIX));
    path.into()
}

impl Previous {
    /// Makes ready to be taken over from: what could fail is done here.
    pub fn bind(admin: &Arc<Admin>) -> io::Result<Self> {
        let edge = &admin.edge;
        let socket = socket_of(&edge.settings.admin.socket, std::process::id());
        let listener = admin::bind(&socket, true)?;
        let now = Timestamp::now();
        Ok(Self {
            admin: Arc::clone(admin),
            socket,
            listener,
            taken_over_at: now,
            closes_at: now.checked_add(edge.settings.limits.tunnel_drain).unwrap_or(now),
            apps: BTreeMap::new(),
            instances: Vec::new(),
            told: watch::Sender::new(None),
            heard: AtomicBool::new(false),
        })
    }

    /// Leaves saving, draining and the other processes to the current one, and hears its orders from now on.
    pub fn begin(mut self) -> Arc<Self> {
        let edge = &self.admin.edge;
        let before = edge.processes.reports();
        edge.processes.dismiss();
        edge.drains.retire();
        edge.drain.retire();
        self.admin.apps.retire();
        let tunnels = edge.tunnels.all();
        self.apps = tunnels.iter().map(|tunnel| (tunnel.instance.app.clone(), Arc::clone(&tunnel.app))).collect();
        self.instances = tunnels.iter().map(|tunnel| Arc::clone(&tunnel.instance)).collect();
        // What was counted of those that the processes before carry is in this one's books too.
        let table = edge.apps.pin();
        for app in before.iter().flat_map(|(report, _)| report.counted.keys()).filter_map(|id| table.get(id.as_str())) {
            self.apps.insert(app.id.clone(), Arc::clone(&app.vitals));
        }
        for InstanceCounters { of, .. } in before.iter().flat_map(|(report, _)| &report.counted_at) {
            let instances = table.get(of.app.as_str()).into_iter().flat_map(|app| &app.instances);
            self.instances
                .extend(instances.filter(|instance| of.is(&instance.vitals)).map(|instance| Arc::clone(&instance.vitals)));
        }
        each_once(&mut self.instances);
        let previous = Arc::new(self);
        tokio::spawn(Arc::clone(&previous).serve());
        previous
    }

    /// Hears orders, for as long as the process carries anything.
    async fn serve(self: Arc<Self>) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if admin::may_speak(&stream) {
                let previous = Arc::clone(&self);
                tokio::spawn(async move {
                    // Whoever breaks off is not answered.
                    let _ = timeout(ORDER_TIMEOUT, previous.hear(stream)).await;
                });
            }
        }
    }

    /// Waits until it is told to quit.
    pub async fn told_to_quit(&self) -> Quit {
        let mut told = self.told.subscribe();
        match told.wait_for(Option::is_some).await.map(|quit| *quit) {
            Ok(Some(quit)) => quit,
            _ => std::future::pending().await,
        }
    }

    /// Waits until the current process has heard the last numbers, at most `longest`; then nobody listens any more.
    pub async fn part(&self, longest: Duration) {
        self.heard.store(false, Relaxed);
        let heard = async {
            while !self.heard.load(Relaxed) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = timeout(longest, heard).await;
        let _ = std::fs::remove_file(&self.socket);
    }

    async fn hear(&self, stream: UnixStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        match line::read(&mut stream).await? {
            Order::Report => {
                let report = self.report();
                reply(stream, Answer::Good(report)).await?;
                self.heard.store(true, Relaxed);
                Ok(())
            }
            Order::Close { of, count, spread_ms, within_ms } => {
                let carried = self.close(of, count, Duration::from_millis(spread_ms), Duration::from_millis(within_ms));
                reply(stream, Answer::Good(carried)).await
            }
            Order::CloseOld { count, spread_ms, after_ms } => {
                let now = clock::millis();
                let mut old = self.admin.edge.tunnels.oldest();
                old.retain(|tunnel| now.saturating_sub(tunnel.opened_at()) >= after_ms);
                old.truncate(count);
                let closed = old.len();
                // Not waited for, as in `close`.
                tokio::spawn(close_over(old, Duration::from_millis(spread_ms), Duration::ZERO, ClosedBy::Drain));
                reply(stream, Answer::Good(closed)).await
            }
            Order::Change { whole, bytes } => {
                if bytes > self.admin.edge.settings.limits.admin_body_bytes {
                    return reply(stream, Answer::<Done>::Refused(format!("a document of {bytes} bytes is too large"))).await;
                }
                let mut body = vec![0; bytes];
                stream.read_exact(&mut body).await?;
                let admin = Arc::clone(&self.admin);
                let changed = self.admin.aside.run(move || admin.follow_current(&body, whole)).await;
                let answer = match changed {
                    Ok(Ok(())) => Answer::Good(Done {}),
                    Ok(Err(why)) => Answer::Refused(why),
                    Err(_) => Answer::Refused("the change failed; the process's log says why".to_owned()),
                };
                reply(stream, answer).await
            }
            Order::Confirm => {
                self.admin.edge.health.confirmed();
                reply(stream, Answer::Good(Done {})).await
            }
            Order::Quit { within_ms } => {
                self.told.send_replace(Some(Quit { within: within_ms.map(Duration::from_millis) }));
                reply(stream, Answer::Good(Done {})).await
            }
        }
    }

    fn close(&self, of: Which, count: usize, spread: Duration, within: Duration) -> Carried {
        let tunnels = &self.admin.edge.tunnels;
        let mut open = tunnels.to(&of);
        open.retain(|tunnel| tunnel.is_open());
        let silent = take_silent(&mut open, count);
        // Not waited for: whoever ordered it decides meanwhile what comes next.
        tokio::spawn(close_over(silent, spread, within, ClosedBy::Drain));
        let (left, in_flight) = held(&self.admin, &of);
        let oldest_ms = tunnels.oldest_to(&of).map(super::millis);
        Carried { of, tunnels: left, in_flight, left_ms: None, oldest_ms }
    }

    fn report(&self) -> Report {
        let edge = &self.admin.edge;
        let mut carried: Vec<Carried> = Vec::new();
        for vitals in busy(&self.admin) {
            let of = Which::of(&vitals);
            let left = edge.drains.left(&of);
            let (tunnels, in_flight) = (vitals.tunnels.load(Relaxed).into(), vitals.in_flight.load(Relaxed).into());
            let oldest = edge.tunnels.oldest_to(&of);
            let (left_ms, oldest_ms) = (left.map(super::millis), oldest.map(super::millis));
            carried.push(Carried { of, tunnels, in_flight, left_ms, oldest_ms });
        }
        Report {
            pid: std::process::id(),
            taken_over_at: self.taken_over_at,
            closes_at: self.closes_at,
            connections: edge.connections() as u64,
            tunnels: edge.tunnels.len() as u64,
            apps: edge.apps.pin().stamp(),
            carried,
            counted: self.apps.iter().map(|(id, vitals)| (id.clone(), Counters::of(&vitals.books))).collect(),
            counted_at: self
                .instances
                .iter()
                .map(|vitals| InstanceCounters { of: Which::of(vitals), counted: Counters::of(&vitals.books) })
                .collect(),
        }
    }
}

async fn reply(stream: BufReader<UnixStream>, answer: Answer<impl Serialize>) -> io::Result<()> {
    line::write(&mut stream.into_inner(), &answer).await
}

/// The tunnels and requests of an instance, whichever of its vitals count them.
fn held(admin: &Admin, of: &Which) -> (u64, u64) {
    let mut vitals: Vec<_> = admin.edge.tunnels.to(of).iter().map(|tunnel| Arc::clone(&tunnel.instance)).collect();
    if let Some(app) = admin.edge.apps.pin().get(of.app.as_str()) {
        vitals.extend(app.vitals_of(of));
    }
    each_once(&mut vitals);
    let sum = |of: fn(&InstanceVitals) -> &AtomicU32| vitals.iter().map(|vitals| u64::from(of(vitals).load(Relaxed))).sum();
    (sum(|vitals| &vitals.tunnels), sum(|vitals| &vitals.in_flight))
}

/// The instances that this process holds a tunnel or a request of: those with tunnels are known by them,
/// even where their app is gone; those with requests stand in the table, or have just left it.
fn busy(admin: &Admin) -> Vec<Arc<InstanceVitals>> {
    let table: Arc<Apps> = admin.edge.apps.pin();
    let mut busy: Vec<Arc<InstanceVitals>> = admin.edge.tunnels.all().iter().map(|tunnel| Arc::clone(&tunnel.instance)).collect();
    for app in table.iter() {
        busy.extend(app.instances.iter().map(|instance| &instance.vitals).filter(|vitals| !vitals.idle()).cloned());
        busy.extend(app.vitals.departed().into_iter().map(|(_, vitals)| vitals));
    }
    busy.retain(|vitals| !vitals.idle());
    each_once(&mut busy);
    busy
}

fn each_once(vitals: &mut Vec<Arc<InstanceVitals>>) {
    vitals.sort_unstable_by_key(Arc::as_ptr);
    vitals.dedup_by(|a, b| Arc::ptr_eq(a, b));
}

//! All that the parts of the running proxy share: one value, made once, in start-up order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;
use karman_contract::answer::Refusal;
use karman_contract::document::DocumentName;
use tokio::sync::{Semaphore, watch};

use crate::access_log::AccessLog;
use crate::certificates::Certificates;
use crate::documents::Table;
use crate::drain::Drains;
use crate::edge_drain::EdgeDrain;
use crate::events::Events;
use crate::health::Health;
use crate::live::Live;
use crate::overload::{Level, Memory};
use crate::page_table::Pages;
use crate::processes::Processes;
use crate::proxy_protocol::Refusals;
use crate::rates::Rates;
use crate::settings::Settings;
use crate::share::Share;
use crate::sticky::CookieKeys;
use crate::table::Apps;
use crate::threads::Threads;
use crate::tls::Tls;
use crate::tunnel::Tunnels;
use crate::vitals::{AppVitals, lock};
use crate::waiting_room::WaitingRoom;

/// The running edge.
#[derive(Debug)]
pub struct Edge {
    pub settings: Settings,
    pub started_at: Timestamp,
    pub apps: Arc<Live<Apps>>,
    pub pages: Arc<Live<Pages>>,
    pub certificates: Arc<Live<Certificates>>,
    pub keys: Arc<Live<CookieKeys>>,
    pub tls: Tls,
    /// The port of the first HTTPS listener, once it is bound.
    pub https_port: OnceLock<u16>,
    pub health: Arc<Health>,
    pub drains: Arc<Drains>,
    pub drain: Arc<EdgeDrain>,
    pub share: Arc<Share>,
    pub processes: Arc<Processes>,
    pub events: Arc<Events>,
    pub access_log: AccessLog,
    pub tunnels: Arc<Tunnels>,
    /// What serves the clients' connections.
    pub threads: Threads,
    /// Where requests are counted that belong to no app: one bucket, whatever hosts they name.
    pub nobody: AppVitals,
    pub counts: Counts,
    /// How often each client may ask each app.
    pub client_rates: Rates,
    pub waiting_room: Arc<WaitingRoom>,
    pub memory: Memory,
    /// How much of the process's connections and memory is used; told anew while it is not calm.
    pub level: watch::Sender<Level>,
    /// One for each client connection that may be open, tunnels included.
    pub slots: Arc<Semaphore>,
    /// Set once: the listeners are bound and the saved tables are live.
    pub ready: AtomicBool,
    /// Set once: a connection without a request is closed. A process that was taken over from waits before.
    pub closing: watch::Sender<bool>,
    /// Rung when HTTP/2 connections are to end after their requests. Each is told by a GOAWAY.
    pub farewell: watch::Sender<bool>,
    /// Set once: this process takes no more connections and is about to end.
    pub ending: AtomicBool,
}

/// Numbers of the process that belong to no app.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections whose first request has not come yet.
    pub fresh: Arc<AtomicUsize>,
    /// Connections without the PROXY header that the settings expect.
    pub unintroduced: Refusals,
    pub retries_sent: AtomicU64,
    /// Retries that were due, but the app's budget was spent.
    pub retries_refused: AtomicU64,
    /// Changes that were refused, by document and by the refusal's name.
    pub document_refusals: Mutex<BTreeMap<(DocumentName, &'static str), u64>>,
}

const NO_TABLE: &str = "no app table yet";

impl Counts {
    pub fn refused(&self, document: DocumentName, refusal: &Refusal) {
        *lock(&self.document_refusals).entry((document, refusal.as_str())).or_default() += 1;
    }
}

impl Edge {
    /// Client connections that are open, tunnels included.
    pub fn connections(&self) -> usize {
        self.settings.limits.connections.saturating_sub(self.slots.available_permits())
    }

    pub fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    /// Why no traffic should be sent here; `None` if it may be.
    pub fn not_ready(&self) -> Option<&'static str> {
        if self.is_ending() || self.drain.is_on() {
            return Some("draining");
        }
        if !self.ready.load(Relaxed) {
            return Some("starting");
        }
        self.apps.pin().stamp().is_none().then_some(NO_TABLE)
    }

    /// Whether clients should be sent to this region, as status and text. That one edge of it ends, or
    /// is drained alone, is its load balancer's business.
    pub fn region_health(&self) -> (u16, String) {
        let region = &self.settings.edge.region;
        if self.drain.drains_region() {
            (503, format!("{region} is draining\n"))
        } else if self.apps.pin().stamp().is_none() {
            (503, format!("{region}: {NO_TABLE}\n"))
        } else {
            (200, format!("{region} ok\n"))
        }
    }
}

//! What is live about an app and its instances: counts, health, numbers for the metrics.
//!
//! Tables come and go; vitals are carried from one to the next, and stay as long as a request or a
//! tunnel holds them.

mod books;
mod which;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use karman_contract::code::Code;
use karman_contract::name::{AppId, InstanceId};
use karman_contract::status::Health;
use tokio::sync::Notify;

pub use self::books::Books;
pub use self::which::Which;
use crate::admission::Admission;
use crate::clock;
use crate::health::RunningCheck;
use crate::info::InfoAnswers;
use crate::turns::Turns;

/// Of instances that left the document, those that carry nothing any more are forgotten.
pub fn forget_idle(departed: &mut Vec<(InstanceId, Arc<InstanceVitals>)>) {
    departed.retain(|(_, vitals)| !vitals.idle());
}

/// Locks, also after a panic elsewhere: every value guarded so is whole at any time.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One instance at one address.
#[derive(Debug)]
pub struct InstanceVitals {
    pub app: AppId,
    pub id: InstanceId,
    pub address: SocketAddr,
    pub in_flight: AtomicU32,
    pub tunnels: AtomicU32,
    pub books: Books,
    /// When it was first seen ready, by [`clock::millis`]; 0 for one that counts as warm.
    ready_since: AtomicU64,
    pub admission: Admission,
    /// What a connection takes, in microseconds, smoothed (low half), and when the last one was made,
    /// by [`clock::millis`] (high half).
    connect: AtomicU64,
    /// Connections in a row that could not be made.
    pub failures: AtomicU32,
    flags: AtomicU8,
    /// Whether a task asks it now and then if it is back.
    pub watched: AtomicBool,
    pub check: Mutex<Option<RunningCheck>>,
    /// Whether it was dead when last asked after a socket broke, and when that was.
    pub asked: tokio::sync::Mutex<Option<(u64, bool)>>,
}

/// The low half of a word.
const CONNECT_MICROS_MAX: u64 = u32::MAX as u64;

const QUARANTINED: u8 = 1;
const CHECK_FAILS: u8 = 2;
const CHECK_PENDING: u8 = 4;
const GIVEN_UP: u8 = 8;

impl InstanceVitals {
    pub fn new(app: AppId, id: InstanceId, address: SocketAddr) -> Self {
        Self {
            app,
            id,
            address,
            in_flight: AtomicU32::new(0),
            tunnels: AtomicU32::new(0),
            books: Books::default(),
            ready_since: AtomicU64::new(0),
            admission: Admission::default(),
            connect: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            flags: AtomicU8::new(0),
            watched: AtomicBool::new(false),
            check: Mutex::new(None),
            asked: tokio::sync::Mutex::new(None),
        }
    }

    /// Marks the moment from which its share of new clients rises.
    pub fn start_warming(&self) {
        self.ready_since.store(clock::millis(), Relaxed);
    }

    /// How long it has been ready; `None` for one that counts as warm.
    pub fn ready_for(&self) -> Option<Duration> {
        match self.ready_since.load(Relaxed) {
            0 => None,
            since => Some(Duration::from_millis(clock::millis().saturating_sub(since))),
        }
    }

    /// Notes what a connection took.
    pub fn connect_took(&self, took: Duration) {
        let micros = took.as_micros().min(CONNECT_MICROS_MAX.into()) as u64;
        let before = self.connect.load(Relaxed) & CONNECT_MICROS_MAX;
        let smooth = if before == 0 { micros } else { before - before / 8 + micros / 8 };
        // Two that write at once lose one of many samples.
        self.connect.store(clock::millis() << 32 | smooth.max(1), Relaxed);
    }

    /// What a connection takes, if one was made lately.
    pub fn connect_time(&self, fresh: Duration) -> Option<Duration> {
        let noted = self.connect.load(Relaxed);
        let age = (clock::millis() & CONNECT_MICROS_MAX).saturating_sub(noted >> 32);
        (noted != 0 && u128::from(age) < fresh.as_millis()).then(|| Duration::from_micros(noted & CONNECT_MICROS_MAX))
    }

    /// Requests and sockets: what a new client is weighed against.
    pub fn load(&self) -> u32 {
        self.in_flight.load(Relaxed).saturating_add(self.tunnels.load(Relaxed))
    }

    pub fn usable(&self) -> bool {
        self.flags.load(Relaxed) & (QUARANTINED | CHECK_FAILS | GIVEN_UP) == 0
    }

    pub fn health(&self) -> Health {
        match self.flags.load(Relaxed) {
            flags if flags & (CHECK_FAILS | GIVEN_UP) != 0 => Health::Down,
            flags if flags & QUARANTINED != 0 => Health::Quarantined,
            flags if flags & CHECK_PENDING != 0 => Health::Unknown,
            _ => Health::Up,
        }
    }

    /// Returns whether this changed anything.
    pub fn quarantine(&self, yes: bool) -> bool {
        self.set(QUARANTINED, yes)
    }

    /// Its address failed while nobody could say whose it is: it is not even tried, until somebody can.
    /// Returns whether this changed anything.
    pub fn give_up(&self, yes: bool) -> bool {
        self.set(GIVEN_UP, yes)
    }

    pub fn is_given_up(&self) -> bool {
        self.flags.load(Relaxed) & GIVEN_UP != 0
    }

    /// Notes what its active check says; `None` while it has not been answered yet or there is none.
    pub fn checked(&self, pending: bool, healthy: Option<bool>) -> bool {
        self.set(CHECK_PENDING, pending);
        self.set(CHECK_FAILS, healthy == Some(false))
    }

    fn set(&self, flag: u8, yes: bool) -> bool {
        let before = if yes { self.flags.fetch_or(flag, Relaxed) } else { self.flags.fetch_and(!flag, Relaxed) };
        (before & flag != 0) != yes
    }

    pub fn idle(&self) -> bool {
        self.load() == 0
    }
}

/// A request that an instance is working on, for as long as this is held.
#[derive(Debug)]
pub struct InFlight {
    pub instance: Arc<InstanceVitals>,
}

impl InFlight {
    pub fn new(instance: Arc<InstanceVitals>) -> Self {
        instance.in_flight.fetch_add(1, Relaxed);
        Self { instance }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.instance.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Upper bounds of the request-time histogram, in seconds.
pub const SECONDS_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Who ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    Client,
    App,
    Drain,
    Idle,
    Limit,
    EdgeShutdown,
    Error,
}

impl ClosedBy {
    pub const ALL: [Self; 7] = [Self::Client, Self::App, Self::Drain, Self::Idle, Self::Limit, Self::EdgeShutdown, Self::Error];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::App => "app",
            Self::Drain => "drain",
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::EdgeShutdown => "edge-shutdown",
            Self::Error => "error",
        }
    }
}

/// What the edge says where instances have no room.
const NO_ROOM: [Code; 5] =
    [Code::QueueFull, Code::QueueTimeout, Code::ConnectRefused, Code::ConnectTimeout, Code::FirstByteTimeout];

/// One app.
#[derive(Debug, Default)]
pub struct AppVitals {
    /// By the hundreds of the status, 1xx to 5xx.
    pub requests: [AtomicU64; 5],
    pub refusals: [AtomicU64; Code::ALL.len()],
    pub seconds: [AtomicU64; SECONDS_BUCKETS.len() + 1],
    pub seconds_sum_micros: AtomicU64,
    pub in_flight: AtomicU32,
    pub retries_in_flight: AtomicU32,
    pub turns: Arc<Turns>,
    /// Client connections whose last request was for this app; those of tunnels are counted as sockets.
    pub connections: AtomicU32,
    /// Requests that are sockets, or are about to be: upgrades under way, and SockJS without WebSockets.
    pub pending_sockets: AtomicU32,
    /// The edge is short of something, and this app's owner uses more of it than a fair share.
    pub over_share: AtomicBool,
    /// Requests that wait for an instance, and clients that were kept when theirs died.
    pub held: AtomicU32,
    /// New sockets that wait for their instance to take them.
    pub waiting: AtomicU32,
    pub info: InfoAnswers,
    /// The turns of clients that were kept when their instance died.
    pub release: Admission,
    pub sockets: AtomicU32,
    pub books: Books,
    /// Unix milliseconds since which no instance answers; 0 while one does.
    pub down_since: AtomicU64,
    /// Woken when an instance may have become usable.
    pub changed: Notify,
    /// Instances that left the document while something still used them.
    pub departed: Mutex<Vec<(InstanceId, Arc<InstanceVitals>)>>,
}

impl AppVitals {
    pub fn count_request(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.requests[class].fetch_add(1, Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = SECONDS_BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(SECONDS_BUCKETS.len());
        self.seconds[bucket].fetch_add(1, Relaxed);
        self.seconds_sum_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub fn count_refusal(&self, code: Code) {
        self.refusals[code as usize].fetch_add(1, Relaxed);
    }

    /// How many of its clients were turned away for want of room at an instance.
    pub fn turned_away(&self) -> u64 {
        NO_ROOM.iter().map(|code| self.refusals[*code as usize].load(Relaxed)).sum()
    }

    pub fn is_down(&self) -> bool {
        self.down_since.load(Relaxed) != 0
    }

    /// Instances that left, without those that nothing uses any more.
    pub fn departed(&self) -> Vec<(InstanceId, Arc<InstanceVitals>)> {
        let mut departed = lock(&self.departed);
        forget_idle(&mut departed);
        departed.clone()
    }
}

//! What is live about one instance at one address: counts, health, what its connections take.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use karman_contract::name::{AppId, InstanceId};
use karman_contract::status::Health;

use super::Books;
use crate::admission::Admission;
use crate::clock;
use crate::health::RunningCheck;

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
    /// How often in a row it was found to take no connection: once by traffic, and then by its watch.
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

/// Of instances that left the document, those that carry nothing any more are forgotten.
pub fn forget_idle(departed: &mut Vec<(InstanceId, Arc<InstanceVitals>)>) {
    departed.retain(|(_, vitals)| !vitals.idle());
}

//! What is live about an app and its instances: counts, health, numbers for the metrics.
//!
//! Tables come and go; vitals are carried from one to the next, and stay as long as a request or a
//! tunnel holds them.

mod books;
mod instance;
mod which;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use karman_contract::code::Code;
use karman_contract::name::InstanceId;
use tokio::sync::Notify;

pub use self::books::{Books, ClosedBy};
pub use self::instance::{InFlight, InstanceVitals, forget_idle};
pub use self::which::Which;
use crate::admission::Admission;
use crate::info::InfoAnswers;
use crate::turns::Turns;

/// Locks, also after a panic elsewhere: every value guarded so is whole at any time.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Upper bounds of the request-time histogram, in seconds.
pub const SECONDS_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// What the edge says where instances have no room.
const NO_ROOM: [Code; 5] =
    [Code::QueueFull, Code::QueueTimeout, Code::ConnectRefused, Code::ConnectTimeout, Code::FirstByteTimeout];

/// One app.
#[derive(Debug, Default)]
pub struct AppVitals {
    /// By the hundreds of the status, 1xx to 5xx.
    pub requests: [AtomicU64; 5],
    pub refusals: [AtomicU64; Code::ALL.len()],
    /// By the bucket of the time they took; the last is for all that took longer.
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
    /// Open tunnels.
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

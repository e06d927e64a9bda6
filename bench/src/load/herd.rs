//! A herd: Meteor clients by the thousand, each of which keeps to the timing of Meteor's and SockJS's own code.

mod client;
mod events;
mod timing;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::contender::HOST;
pub(crate) use events::{Event, Happened, first_live, gaps, opened_over_time, share_live_over_time, without_live_data};

/// Whom the herd calls, and how it comes.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    /// Where SockJS lives.
    pub(crate) prefix: String,
    /// The page that each client loads when it comes.
    pub(crate) page: Option<String>,
    /// What each client subscribes to after each connect.
    pub(crate) subscriptions: Vec<String>,
    pub(crate) clients: u32,
    /// How many come a second, at first.
    pub(crate) per_second: f64,
}

impl Terms {
    /// Clients of the sample app, which want all that it publishes.
    pub(crate) fn of_sample(address: SocketAddr, clients: u32, per_second: f64) -> Self {
        let subscriptions = ["instance", "todos"].map(str::to_owned).into();
        Self { address, host: HOST.to_owned(), prefix: "/sockjs".to_owned(), page: None, subscriptions, clients, per_second }
    }
}

/// It ends with this value, and takes its sockets along.
#[derive(Debug)]
pub(crate) struct Herd {
    log: Arc<Log>,
    _runtime: Runtime,
}

/// What all clients noted, in the order in which it happened.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<Event>>);

impl Log {
    fn note(&self, client: u32, happened: Happened) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken with the lock held, so that the order of the list is the order of time.
        events.push(Event { at: Instant::now(), client, happened });
    }
}

impl Herd {
    pub(crate) fn start(terms: Terms) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let log = Arc::new(Log::default());
        let terms = Arc::new(terms);
        for n in 0..terms.clients {
            let (terms, log) = (Arc::clone(&terms), Arc::clone(&log));
            let comes_after = Duration::from_secs_f64(f64::from(n) / terms.per_second);
            runtime.spawn(async move {
                tokio::time::sleep(comes_after).await;
                client::live(n, &terms, &log).await;
            });
        }
        Ok(Self { log, _runtime: runtime })
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many clients have live data, as far as they know.
    pub(crate) fn live(&self) -> usize {
        events::live(&self.events())
    }

    /// Waits until so many have live data; `false` if they have not by then.
    pub(crate) fn wait_until_live(&self, count: usize, patience: Duration) -> bool {
        let start = Instant::now();
        while self.live() < count {
            if start.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }
}

//! Following a store: changes wait here, each key once, until whoever follows asks for them.
//!
//! What waits can never be more than the store itself holds, so a slow follower loses nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{Key, Reading, Seen, StoreError};

#[cfg(test)]
mod tests;

/// Changes that come together are taken together: one deploy is several entries.
const COALESCE: Duration = Duration::from_millis(15);
/// The same while changes keep coming: fewer batches leave more of the machine to the requests.
const COALESCE_STREAM: Duration = Duration::from_millis(25);
/// And while they keep coming so fast that two of them came together: a batch costs more than a change in it.
const COALESCE_FAST: Duration = Duration::from_millis(60);
/// And while more than two did.
const COALESCE_FASTEST: Duration = Duration::from_millis(120);
/// Changes keep coming where the ones before are no older than this.
const STREAM: Duration = Duration::from_millis(250);

/// What is new in a store.
#[derive(Debug, Default)]
pub struct News {
    /// These are all entries of the followed kinds: what is not among them is gone.
    pub all: bool,
    pub seen: BTreeMap<Key, Seen>,
    /// The revision of the store that this brings up to.
    pub revision: u64,
}

/// The end that is asked for news. Its task ends when it is dropped.
pub struct Follow {
    shared: Arc<Shared>,
    /// None where the feed waits itself for what comes together.
    pace: Option<Pace>,
    _task: Task,
}

/// How fast changes come.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When some were given last, and of how many entries.
    given: Option<(Instant, usize)>,
}

/// The end that a store puts news into.
#[derive(Clone)]
pub(super) struct Feed {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    news: Option<News>,
    /// Why no news comes just now.
    trouble: Option<StoreError>,
    told: Option<StoreError>,
}

/// A task that ends with its owner.
pub(super) struct Task(JoinHandle<()>);

impl Follow {
    /// Starts the task that feeds the news as they come.
    pub(super) fn fed_by<F: Future<Output = ()> + Send + 'static>(feeding: impl FnOnce(Feed) -> F) -> Self {
        Self { pace: Some(Pace::default()), ..Self::fed_at_a_pace_by(feeding) }
    }

    /// The same, if what comes together is fed together.
    pub(super) fn fed_at_a_pace_by<F: Future<Output = ()> + Send + 'static>(feeding: impl FnOnce(Feed) -> F) -> Self {
        let shared = Arc::new(Shared::default());
        let task = Task::spawn(feeding(Feed { shared: Arc::clone(&shared) }));
        Self { shared, pace: None, _task: task }
    }

    /// Waits for news and for what comes with it. Nothing is lost when the wait is given up. An error
    /// tells once that the store cannot be followed just now; it is tried again all the time.
    pub async fn next(&mut self) -> Result<News, StoreError> {
        loop {
            {
                let mut waiting = self.shared.waiting();
                if waiting.news.is_some() {
                    break;
                }
                if let Some(trouble) = waiting.trouble.clone().filter(|trouble| waiting.told.as_ref() != Some(trouble)) {
                    waiting.told = Some(trouble.clone());
                    return Err(trouble);
                }
            }
            self.shared.arrived.notified().await;
        }
        if let Some(pace) = &self.pace {
            sleep(pace.patience()).await;
        }
        let mut waiting = self.shared.waiting();
        waiting.told = None;
        let news = waiting.news.take().unwrap_or_default();
        drop(waiting);
        if let Some(pace) = &mut self.pace {
            pace.given(news.seen.len());
        }
        Ok(news)
    }
}

impl Pace {
    /// How long a change waits now for what comes with it.
    pub(super) fn patience(&self) -> Duration {
        patience(self.given.map(|(at, entries)| (at.elapsed(), entries)))
    }

    pub(super) fn given(&mut self, entries: usize) {
        self.given = Some((Instant::now(), entries));
    }
}

/// The same by how long ago the last were given, and of how many entries.
fn patience(given: Option<(Duration, usize)>) -> Duration {
    match given {
        Some((ago, 0..=1)) if ago < STREAM => COALESCE_STREAM,
        Some((ago, 2)) if ago < STREAM => COALESCE_FAST,
        Some((ago, _)) if ago < STREAM => COALESCE_FASTEST,
        _ => COALESCE,
    }
}

impl Feed {
    /// Everything is known anew.
    pub(super) fn replace(&self, reading: Reading) {
        let Reading { entries, revision } = reading;
        self.put(|waiting| waiting.news = Some(News { all: true, seen: entries.into_iter().collect(), revision }));
    }

    /// Some entries changed.
    pub(super) fn add(&self, entries: impl IntoIterator<Item = (Key, Seen)>, revision: u64) {
        self.put(|waiting| {
            let news = waiting.news.get_or_insert_default();
            news.seen.extend(entries);
            news.revision = news.revision.max(revision);
        });
    }

    pub(super) fn trouble(&self, error: StoreError) {
        let mut waiting = self.shared.waiting();
        waiting.trouble = Some(error);
        drop(waiting);
        self.shared.arrived.notify_one();
    }

    fn put(&self, put: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.shared.waiting();
        waiting.trouble = None;
        put(&mut waiting);
        drop(waiting);
        self.shared.arrived.notify_one();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

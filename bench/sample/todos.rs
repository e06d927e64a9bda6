//! The todo list: one immutable value that every subscriber watches, changed only through the log.

mod list;
mod log;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use crate::app::random_id;
use list::Change;
pub(crate) use list::{LIST_LIMIT, List, TEXT_LIMIT, Todo};
use log::Log;

/// How often a process looks for what its siblings wrote.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

/// The same after a failed look, so that a broken disk fills no log.
const FOLLOW_AFTER_FAILURE: Duration = Duration::from_secs(5);

pub(crate) struct Todos {
    list: watch::Sender<Arc<List>>,
    /// Held while a change is written and read back, so that this process decides on the newest list.
    log: Mutex<Option<Log>>,
    subscribed: Notify,
}

/// Why a change was not made.
#[derive(Debug)]
pub(crate) enum Refusal {
    Empty,
    TooLong,
    Full,
    Unknown,
    Storage(io::Error),
}

impl Todos {
    /// The list as the file has it, or an empty one that lives in memory.
    pub(crate) fn open(file: Option<&Path>) -> io::Result<Self> {
        let log = file.map(Log::open).transpose()?;
        let todos = Self { list: watch::Sender::new(Arc::default()), log: Mutex::new(log), subscribed: Notify::new() };
        todos.catch_up()?;
        if let Some(file) = file {
            info!("{} todos in {}", todos.list.borrow().len(), file.display());
        }
        Ok(todos)
    }

    pub(crate) fn insert(&self, text: &str) -> Result<String, Refusal> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Refusal::Empty);
        }
        if text.chars().count() > TEXT_LIMIT {
            return Err(Refusal::TooLong);
        }
        let id = random_id();
        self.change(|list| match list.len() {
            LIST_LIMIT.. => Err(Refusal::Full),
            _ => Ok(Change::Insert { id: id.clone(), text: text.to_owned(), at: now_milliseconds() }),
        })?;
        Ok(id)
    }

    pub(crate) fn toggle(&self, id: &str) -> Result<(), Refusal> {
        self.change(|list| {
            let todo = list.get(id).ok_or(Refusal::Unknown)?;
            Ok(Change::Mark { id: id.to_owned(), done: !todo.done })
        })
    }

    pub(crate) fn remove(&self, id: &str) -> Result<(), Refusal> {
        self.change(|list| {
            list.get(id).ok_or(Refusal::Unknown)?;
            Ok(Change::Remove { id: id.to_owned() })
        })
    }

    /// The list as it is now, and every later one.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<List>> {
        let receiver = self.list.subscribe();
        self.subscribed.notify_one();
        // Nobody may have followed the log until now.
        if let Err(error) = self.catch_up() {
            warn!("cannot read the todos: {error}");
        }
        receiver
    }

    /// Follows what other processes write, for as long as somebody here wants to know. Never returns.
    pub(crate) async fn follow(&self) {
        let mut pause = FOLLOW_EVERY;
        loop {
            while self.list.receiver_count() == 0 {
                self.subscribed.notified().await;
            }
            tokio::time::sleep(pause).await;
            pause = match self.catch_up() {
                Ok(()) => FOLLOW_EVERY,
                Err(error) => {
                    warn!("cannot read the todos: {error}");
                    FOLLOW_AFTER_FAILURE
                }
            };
        }
    }

    /// Decides on the newest list, writes, and reads back what was written: the order in the file is
    /// the only order there is, for this process too.
    fn change(&self, decide: impl FnOnce(&List) -> Result<Change, Refusal>) -> Result<(), Refusal> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = log.as_mut() else {
            let change = decide(&self.list.borrow())?;
            self.publish(false, vec![change]);
            return Ok(());
        };
        self.read(log).map_err(Refusal::Storage)?;
        let change = decide(&self.list.borrow())?;
        log.append(&change).map_err(Refusal::Storage)?;
        self.read(log).map_err(Refusal::Storage)
    }

    fn catch_up(&self) -> io::Result<()> {
        // These are a few bytes of a local file, sooner read than handed to another thread.
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.as_mut().map_or(Ok(()), |log| self.read(log))
    }

    fn read(&self, log: &mut Log) -> io::Result<()> {
        while let Some(news) = log.read_on()? {
            self.publish(news.restarted, news.changes);
        }
        Ok(())
    }

    fn publish(&self, restarted: bool, changes: Vec<Change>) {
        if !restarted && changes.is_empty() {
            return;
        }
        self.list.send_modify(|list| {
            let list = Arc::make_mut(list);
            if restarted {
                *list = List::default();
            }
            for change in changes {
                list.apply(change);
            }
        });
    }
}

fn now_milliseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

//! The controller `publish`: keeps one proxy at what the store says.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::failure::{Exit, Failure};
use crate::store::Directory;
use crate::store::dir::lock::{Lock, Locked};
use crate::store::dir::scan::Scan;

pub mod accept;
pub mod decide;
pub mod edge;
pub mod exceptions;
pub mod intake;
pub mod ledger;
pub mod lifeline;
pub mod outcome;
pub mod publisher;
pub mod report;
pub mod send;
#[cfg(test)]
mod tests;

use publisher::Publisher;

#[derive(Clone, Debug)]
pub struct Options {
    pub store: PathBuf,
    pub socket: PathBuf,
    pub accept: bool,
    pub once: bool,
}

/// The lock of a store's publisher, below the store's own folder.
pub const LOCK: &str = "publish.lock";

/// Runs until it is told to stop, or once.
pub async fn run(options: &Options) -> Result<(), Failure> {
    let store = open(&options.store)?;
    let lock = Lock::take(&store.own_path(LOCK)).map_err(|error| Failure::system(store.root().display(), &error))?;
    let _lock = match lock {
        Locked::Ours(lock) => lock,
        Locked::Theirs(pid) if options.accept => return accept::ask(&store, pid).await,
        Locked::Theirs(pid) => {
            let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
            let message = format!("another publisher{pid} works on {}; one is enough", store.root().display());
            return Err(Failure::new(Exit::NotNow, message));
        }
    };
    let mut publisher = Publisher::open(store, options)?;
    if options.once { publisher.once().await } else { publisher.forever().await }
}

/// Reads the store and names everything that is wrong with it, changing nothing. How many apps there are.
pub fn check(store: PathBuf) -> Result<usize, Failure> {
    let store = open(&store)?;
    let keys = Scan::default().changed(&store).map_err(|error| Failure::system(store.root().display(), &error))?;
    let mut catalog = Catalog::default();
    catalog.update(keys.into_iter().map(|key| (key.clone(), store.look(&key))).collect(), Timestamp::now());
    let mistakes: Vec<_> = catalog.mistakes().values().map(ToString::to_string).collect();
    if mistakes.is_empty() { Ok(catalog.apps().len()) } else { Err(Failure::data(mistakes.join("\n"))) }
}

fn open(path: &PathBuf) -> Result<Directory, Failure> {
    if path.is_dir() {
        return Ok(Directory::new(path));
    }
    let path = path.display();
    Err(Failure::usage(format!("there is no store at {path}: name one with --store DIR, or let 'karman up' make one")))
}

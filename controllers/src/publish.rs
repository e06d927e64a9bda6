//! The controller `publish`: keeps proxies at what the store says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::catalog::Catalog;
use crate::failure::{Exit, Failure};
use crate::signals::Signals;
use crate::store::{Found, Kind, Lease, Leased, Place, Store, StoreError, etcd};

pub mod accept;
pub mod certificates;
pub mod decide;
pub mod edge;
pub mod exceptions;
pub mod intake;
pub mod keys;
pub mod known;
pub mod ledger;
pub mod left_out;
pub mod lifeline;
pub mod memory;
pub mod neighbours;
pub mod outcome;
pub mod post;
pub mod publisher;
pub mod rejects;
pub mod report;
pub mod secrets;
pub mod send;
pub mod ssh;
pub mod target;
#[cfg(test)]
mod tests;
pub mod wanted;

use publisher::Publisher;
use target::{Label, Target};

#[derive(Clone)]
pub struct Options {
    pub store: Place,
    pub targets: Vec<Target>,
    /// What the edge is called in the store, where there is only one.
    pub name: Option<String>,
    pub accept: bool,
    pub once: bool,
    /// With what secrets are opened.
    pub key_file: PathBuf,
}

impl Options {
    pub fn label(&self, target: &Target) -> Label {
        self.name.as_deref().map_or_else(|| target.label(), Label::from_name)
    }

    /// A directory has one publisher, who counts its revisions; etcd counts them itself, and each of
    /// its edges has one.
    fn leases(&self) -> Vec<String> {
        match &self.store {
            Place::Directory(_) => vec![LEASE.to_owned()],
            Place::Etcd(_) => self.targets.iter().map(|target| self.label(target).lease()).collect(),
        }
    }
}

/// Longer than the lease of a holder that was killed goes on.
const LEASE_WAIT: Duration = Duration::from_secs(etcd::lease::TTL.as_secs() + 5);
/// How often a lease is asked for that somebody has, or while nobody answers.
const LEASE_AGAIN: Duration = Duration::from_millis(500);

/// Of 0 to 19, as nice(2) counts.
const NICER_BY: i32 = 10;

/// The lease of a directory's publisher.
pub const LEASE: &str = "publish";

/// Runs until it is told to stop, or once.
pub async fn run(options: &Options) -> Result<(), Failure> {
    give_way();
    // Heard before there is anything to be given back.
    let mut signals = Signals::heard()?;
    let (publisher, leases) = tokio::select! {
        ready = prepare(options) => match ready? {
            Some(ready) => ready,
            None => return Ok(()),
        },
        () = signals.stop() => return stopped(options),
    };
    if !options.once {
        return publisher.forever(leases, signals).await;
    }
    tokio::select! {
        published = publisher.once() => published,
        () = signals.stop() => stopped(options),
    }
}

/// Whoever waits for all to be published hears that it is not.
fn stopped(options: &Options) -> Result<(), Failure> {
    if options.once { Err(Failure::new(Exit::NotNow, "told to stop before all was published")) } else { Ok(()) }
}

/// A publisher that has read the store, under its leases. None where another one was asked to accept what it doubts.
async fn prepare(options: &Options) -> Result<Option<(Publisher, Vec<Lease>)>, Failure> {
    let store = options.store.open().await?;
    let mut leases = Vec::new();
    for name in options.leases() {
        // A lock is free once its holder is dead; a lease of etcd runs out a little later.
        let patience = if options.accept || matches!(options.store, Place::Directory(_)) { Duration::ZERO } else { LEASE_WAIT };
        match take(store.as_ref(), &name, patience).await? {
            Leased::Ours(lease) => leases.push(lease),
            Leased::Theirs(holder) => {
                let holder = holder.unwrap_or_else(|| "another process".to_owned());
                if options.accept {
                    return accept::ask(store.as_ref(), &holder).await.map(|()| None);
                }
                let message = format!("another publisher ({holder}) works on {}; one is enough", options.store);
                return Err(Failure::new(Exit::NotNow, message));
            }
        }
    }
    Ok(Some((Publisher::open(store, options).await?, leases)))
}

/// Lets the proxy beside it go first: composing the documents of many apps takes a core for a tenth of a
/// second, and nobody misses a change that is a few milliseconds later. Threads inherit it.
fn give_way() {
    if let Err(error) = rustix::process::nice(NICER_BY) {
        tracing::debug!("the publisher runs at the priority that it was started with: {error}");
    }
}

/// Asks for a lease until it is free, or for as long as patience lasts.
async fn take(store: &dyn Store, name: &str, patience: Duration) -> Result<Leased, StoreError> {
    let until = Instant::now() + patience;
    loop {
        let leased = store.lease(name).await?;
        if matches!(leased, Leased::Ours(_)) || Instant::now() >= until {
            return Ok(leased);
        }
        sleep(LEASE_AGAIN).await;
    }
}

/// Reads the store and names everything that is wrong with it, changing nothing. How many apps there are.
pub async fn check(store: &Place) -> Result<usize, Failure> {
    let store = store.open().await?;
    let catalog = read(&store, &Kind::PUBLISHED).await?;
    let mistakes: Vec<_> = catalog.mistakes().values().map(ToString::to_string).collect();
    if mistakes.is_empty() { Ok(catalog.apps().len()) } else { Err(Failure::data(mistakes.join("\n"))) }
}

/// What follows from the store as it is now.
pub async fn read(store: &Arc<dyn Store>, kinds: &[Kind]) -> Result<Catalog, Failure> {
    let reading = store.read(kinds).await?;
    let mut catalog = Catalog::default();
    catalog.update(Found::read_all(reading.entries), Timestamp::now());
    Ok(catalog)
}

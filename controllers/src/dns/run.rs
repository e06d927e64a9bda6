//! `karman dns`: shows what would change, changes it, and keeps it so.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use super::calls::{Calls, Pace};
use super::challenge::Challenges;
use super::controller::{Controller, Options, Pass, Trouble, Wish};
use super::guard::Held;
use super::record::Name;
use super::route53::Route53;
use super::show;
use crate::failure::{Exit, Failure};
use crate::signals::until_stopped;
use crate::store::entry::Content;
use crate::store::{Author, Expect, Found, Key, Kind, Lease, Leased, Place, Store, StoreError, Transaction};
use crate::verbs::{print, print_json};

/// The lease of whoever keeps the records: one of all that run.
const LEASE: &str = "dns";
/// How often the whole zone is looked at, changed or not.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How soon after a pass that left something undone.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// How often one that stands by asks whether it is its turn.
const STAND_BY: Duration = Duration::from_secs(5);
/// Passes of a single run: one that makes, one that confirms what is to be removed and removes it,
/// and one that removes the health checks that are left.
const PASSES_MAX: usize = 3;

/// What was asked for on the command line.
#[derive(Clone, Debug)]
pub struct Asked {
    pub options: Options,
    pub json: bool,
}

/// Prints what a pass would do.
pub async fn plan(store: &Place, asked: &Asked) -> Result<(), Failure> {
    let wish = wish(store.open().await?.as_ref()).await?;
    let controller = Controller::new(calls().await, asked.options);
    let view = controller.look(&wish).await.map_err(failure)?;
    if asked.json { print_json(&show::plan_json(&view)) } else { print(&show::plan(&view, &wish.settings)) }
}

/// Makes it so, once.
pub async fn apply(store: &Place, asked: &Asked) -> Result<(), Failure> {
    let store = store.open().await?;
    let lease = match store.lease(LEASE).await? {
        Leased::Ours(lease) => lease,
        Leased::Theirs(holder) => {
            let holder = holder.unwrap_or_else(|| "another process".to_owned());
            return Err(Failure::new(Exit::NotNow, format!("{holder} keeps the records already")));
        }
    };
    let last = tokio::select! {
        last = passes(store.as_ref(), &lease, asked.options) => last?,
        () = lease.lost() => return Err(Failure::new(Exit::NotNow, "the lease was lost: another one may keep the records by now")),
    };
    if asked.json {
        print_json(&show::pass_json(&last))?
    } else {
        print(&show::pass(&last))?
    }
    match last.is_settled() {
        true => Ok(()),
        false => Err(Failure::new(Exit::Data, "the zone is not as it is wanted: what is marked with '!' was left alone")),
    }
}

/// Passes until there is nothing left to do, or as often as that may take.
async fn passes(store: &dyn Store, lease: &Lease, options: Options) -> Result<Pass, Failure> {
    let mut controller = Controller::new(calls().await, options);
    let mut last = Pass::default();
    for number in 0..PASSES_MAX {
        // Each pass looks at the store anew: a removal is meant only if it is still wanted.
        let wish = wish(store).await?;
        let pass = controller.pass(&wish).await.map_err(failure)?;
        report(store, lease, &wish, Ok(&pass)).await;
        let is_over = pass.is_settled() && (pass.changes, pass.checks_made, pass.checks_removed) == (0, 0, 0);
        let total = (last.changes + pass.changes, last.checks_made + pass.checks_made, last.checks_removed + pass.checks_removed);
        let waits = pass.held == Some(Held::Unconfirmed);
        last = pass;
        (last.changes, last.checks_made, last.checks_removed) = total;
        if is_over && number > 0 || !(last.is_settled() || waits) {
            break;
        }
    }
    Ok(last)
}

/// What presents challenges in the platform's zone.
pub async fn challenges(store: &Place) -> Result<Challenges, Failure> {
    let wish = wish(store.open().await?.as_ref()).await?;
    Ok(Challenges::new(calls().await, &wish.settings.zone))
}

/// Keeps it so until the process is told to stop. Takes over where another one stops.
pub async fn watch(store: &Place, asked: &Asked) -> Result<(), Failure> {
    until_stopped(async { watch_under_lease(store.open().await?, asked).await }).await
}

async fn watch_under_lease(store: Arc<dyn Store>, asked: &Asked) -> Result<(), Failure> {
    let mut stands_by = false;
    loop {
        match take_turn(&store, asked, &mut stands_by).await {
            Ok(()) => {}
            Err(error @ StoreError::Unreachable(_)) => warn!("{error}; trying again"),
            Err(error) => return Err(error.into()),
        }
        sleep(STAND_BY).await;
    }
}

/// Keeps the records if it is this one's turn, until that is over.
async fn take_turn(store: &Arc<dyn Store>, asked: &Asked, stands_by: &mut bool) -> Result<(), StoreError> {
    match store.lease(LEASE).await? {
        Leased::Ours(lease) => {
            *stands_by = false;
            info!("this one keeps the records");
            // The service knows no leases: a pass that goes on without one would write into that of another.
            tokio::select! {
                kept = keep(store.as_ref(), &lease, asked) => kept.map(|never| match never {})?,
                () = lease.lost() => warn!("the lease was lost; another one keeps the records"),
            }
        }
        Leased::Theirs(holder) if !*stands_by => {
            *stands_by = true;
            info!("{} keeps the records; standing by", holder.unwrap_or_else(|| "another process".to_owned()));
        }
        Leased::Theirs(_) => {}
    }
    Ok(())
}

/// Passes for as long as it is let.
async fn keep(store: &dyn Store, lease: &Lease, asked: &Asked) -> Result<Infallible, StoreError> {
    let mut news = store.follow(&[Kind::Platform]).await?;
    let mut controller = Controller::new(calls().await, asked.options);
    loop {
        let wait = match wish(store).await {
            Ok(wish) => {
                let passed = controller.pass(&wish).await;
                report(store, lease, &wish, passed.as_ref()).await;
                tell(&passed);
                if passed.is_ok_and(|pass| pass.is_settled()) { LOOK_EVERY } else { AGAIN_AFTER }
            }
            Err(failure) => {
                warn!("the records stay as they are: {failure}");
                AGAIN_AFTER
            }
        };
        // An error tells that the store does not answer just now; then the wait is for nothing else.
        let _ = timeout_at(Instant::now() + wait, async { while news.next().await.is_err() {} }).await;
    }
}

fn tell(passed: &Result<Pass, Trouble>) {
    match passed {
        Ok(pass) if !pass.is_settled() => warn!("{}", show::pass(pass).trim_end()),
        Ok(pass) if pass.changes + pass.checks_made + pass.checks_removed > 0 => info!("{}", show::pass(pass).trim_end()),
        Ok(_) => {}
        Err(trouble) => warn!("not all was done, and it is tried again: {trouble}"),
    }
}

/// What the store says about regions.
async fn wish(store: &dyn Store) -> Result<Wish, Failure> {
    let key = Key::single(Kind::Platform);
    let missing = |what: &str| Failure::data(format!("platform.yaml has no '{what}', which 'karman dns' needs"));
    match Found::read(&key, store.look(&key).await?) {
        Found::Nothing => Err(missing("dns")),
        Found::Broken(mistakes) => Err(Failure::data(mistakes.to_string())),
        Found::Entry(entry) => {
            let Content::Platform(platform) = &entry.content else { return Err(missing("dns")) };
            let domain = platform.domain.as_ref().ok_or_else(|| missing("domain"))?;
            let settings = platform.dns.clone().ok_or_else(|| missing("dns"))?;
            Ok(Wish { domain: Name::from(domain), settings })
        }
    }
}

async fn calls() -> Arc<Calls> {
    Arc::new(Calls::new(Arc::new(Route53::from_environment().await), Pace::default()))
}

/// Writes `status/dns/ZONE` for whoever asks how it stands. That it cannot be written stops nobody.
async fn report(store: &dyn Store, lease: &Lease, wish: &Wish, passed: Result<&Pass, &Trouble>) {
    let mut report: Value = match passed {
        Ok(pass) => show::pass_json(pass),
        Err(trouble) => json!({"trouble": trouble.to_string()}),
    };
    report["at"] = json!(Timestamp::now());
    let key = Key::new(Kind::Status, &format!("dns/{}", wish.settings.zone));
    let transaction = Transaction::new(Author::controller(LEASE)).put(key, Expect::Anything, format!("{report:#}\n"));
    if let Err(error) = store.commit(&transaction.under(lease)).await {
        warn!("the status cannot be written: {error}");
    }
}

fn failure(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Refused(refusal) => refusal.failure("Route 53"),
        trouble => Failure::data(trouble.to_string()),
    }
}

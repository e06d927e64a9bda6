//! An operator's word that a mass removal, or a store that is behind its proxy, is meant.
//!
//! The publisher that runs is the one who can do it, so `karman publish --accept` leaves it a word in the store.

use std::time::Duration;

use karman_contract::document::Stamp;
use tokio::time::{Instant, sleep};

use super::report::Report;
use super::target::Label;
use crate::failure::{Exit, Failure};
use crate::store::{Author, Expect, Store, StoreError, Transaction};

/// How long the running publisher may take to do as it is told.
const DONE_WITHIN: Duration = Duration::from_secs(15);

/// Tells the publisher that runs that what it holds back is meant, and waits until it is done.
pub async fn ask(store: &dyn Store, publisher: &str) -> Result<(), Failure> {
    let held = Report::read_all(store).await?.into_iter().filter(|(_, report)| report.is_held());
    let held: Vec<(Label, Stamp)> = held.map(|(label, report)| (label, report.store)).collect();
    if held.is_empty() {
        return Err(Failure::usage(format!("the publisher ({publisher}) holds nothing back: there is nothing to accept")));
    }
    let mut words = Transaction::new(Author::person(None));
    for (label, stamp) in &held {
        words = words.put(label.accept_key(), Expect::Anything, serde_json::to_string(stamp).unwrap_or_default());
    }
    store.commit(&words).await?;
    let deadline = Instant::now() + DONE_WITHIN;
    while Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
        if is_done(store, &held).await? {
            return Ok(());
        }
    }
    // A word that is found later would accept what nobody has seen.
    for (label, _) in &held {
        done(store, label).await?;
    }
    let message =
        format!("the publisher ({publisher}) did not do it within {} s: 'karman status' says why", DONE_WITHIN.as_secs());
    Err(Failure::new(Exit::NotNow, message))
}

async fn is_done(store: &dyn Store, held: &[(Label, Stamp)]) -> Result<bool, StoreError> {
    for (label, _) in held {
        if store.look(&label.accept_key()).await?.text().is_some() {
            return Ok(false);
        }
    }
    let reports = Report::read_all(store).await?;
    Ok(held.iter().all(|(label, _)| reports.get(label).is_some_and(|report| !report.is_held())))
}

/// Whether an operator accepted what is held at this stamp. A word about another is void: the store
/// has changed since somebody looked.
pub async fn given(store: &dyn Store, label: &Label, stamp: Stamp) -> bool {
    let Ok(seen) = store.look(&label.accept_key()).await else { return false };
    let Some(text) = seen.text() else { return false };
    let given = serde_json::from_str::<Stamp>(&text.text).is_ok_and(|accepted| accepted == stamp);
    if !given {
        let _ = done(store, label).await;
    }
    given
}

pub async fn done(store: &dyn Store, label: &Label) -> Result<(), StoreError> {
    store.commit(&Transaction::new(Author::controller("publish")).remove(label.accept_key(), Expect::Anything)).await
}

//! An operator's word that a mass removal, or a store that is behind its proxy, is meant.
//!
//! The publisher that runs holds the store's lock, so `karman publish --accept` leaves it a note.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::report::Report;
use crate::failure::{Exit, Failure};
use crate::store::dir::write::{remove, write_json};
use crate::store::{Directory, Revision};

const NOTE: &str = "accept.json";

/// How long the running publisher may take to do as it is told.
const DONE_WITHIN: Duration = Duration::from_secs(15);

/// Tells the publisher that runs (as `pid`) that what it holds is meant, and waits until it is done.
pub async fn ask(store: &Directory, pid: Option<u32>) -> Result<(), Failure> {
    let pid = pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let Some(report) = Report::read(store).filter(|report| report.held.is_some() || report.problem.is_some()) else {
        return Err(Failure::usage(format!("the publisher (pid {pid}) holds nothing back: there is nothing to accept")));
    };
    let note = store.own_path(NOTE);
    write_json(&note, &report.store).map_err(|error| Failure::system(note.display(), &error))?;
    let deadline = Instant::now() + DONE_WITHIN;
    while Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
        let report = Report::read(store);
        if !note.exists() && report.is_some_and(|report| report.held.is_none() && report.problem.is_none()) {
            return Ok(());
        }
    }
    // A note that is found later would accept what nobody has seen.
    let _ = remove(&note);
    let message = format!("the publisher (pid {pid}) did not do it within {} s: 'karman status' says why", DONE_WITHIN.as_secs());
    Err(Failure::new(Exit::NotNow, message))
}

/// Whether an operator accepted what is held at this revision. A note about another revision is
/// void: the store has changed since somebody looked.
pub fn given(store: &Directory, revision: Revision) -> bool {
    let note = store.own_path(NOTE);
    let Ok(text) = std::fs::read_to_string(&note) else { return false };
    let given = serde_json::from_str::<Revision>(&text).is_ok_and(|accepted| accepted == revision);
    if !given {
        let _ = remove(&note);
    }
    given
}

pub fn done(store: &Directory) {
    let _ = remove(&store.own_path(NOTE));
}

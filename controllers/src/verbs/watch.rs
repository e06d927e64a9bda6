//! `karman watch`: what changes in the store, and what happens at the edge, as it happens.

use jiff::Timestamp;
use serde::Serialize;

use super::{Asked, events, print};
use crate::failure::Failure;
use crate::store::{Kind, Seen, Store};

/// A change of the store, as it is told.
#[derive(Serialize)]
struct Told {
    at: Timestamp,
    /// Such as `apps/todos`.
    changed: String,
    removed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

pub async fn run(asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    tokio::select! {
        ended = changes(store.as_ref(), asked.json) => ended,
        ended = events::run(true, None, asked) => match ended {
            // The store can be watched where no proxy is at hand.
            Err(failure) => {
                eprintln!("karman: {failure}");
                changes(store.as_ref(), asked.json).await
            }
            ended => ended,
        },
    }
}

async fn changes(store: &dyn Store, json: bool) -> Result<(), Failure> {
    let mut follow = store.follow(&Kind::PUBLISHED).await?;
    let mut is_first = true;
    loop {
        let news = match follow.next().await {
            Ok(news) => news,
            Err(error) => {
                eprintln!("karman: {error}; going on when it does");
                continue;
            }
        };
        // What stands there already is no change; what was missed is told as one.
        if std::mem::take(&mut is_first) {
            continue;
        }
        for (key, seen) in news.seen {
            let last = store.history(&key).await?.changes.pop();
            let told = Told {
                at: last.as_ref().map_or_else(Timestamp::now, |change| change.at),
                changed: key.to_string(),
                removed: matches!(seen, Seen::Nothing),
                by: last.as_ref().map(|change| change.by.clone()),
                why: last.and_then(|change| change.why),
            };
            print(&line(&told, json))?;
        }
    }
}

fn line(told: &Told, json: bool) -> String {
    if json {
        return serde_json::to_string(told).unwrap_or_default() + "\n";
    }
    let Told { at, changed, removed, by, why } = told;
    let what = if *removed { "removed" } else { "changed" };
    let by = by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    format!(" store  {}  {changed} {what}{by}{why}\n", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

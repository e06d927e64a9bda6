//! `karman maintenance ID on|off`: writes `state/ID.json` and waits until the edges do so.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use karman_contract::app::AppState;
use karman_contract::name::AppId;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::ways::{GONE, Silence, Way, ways, within};
use super::{Asked, LIVE_WITHIN, json, print, print_json};
use crate::admin::AdminError;
use crate::failure::{Exit, Failure};
use crate::layer::{field, place_of};
use crate::store::{Author, Expect, Found, Key, Kind, Store, StoreError, Transaction};

const ASK_EVERY: Duration = Duration::from_millis(50);

/// `state/ID.json`, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    state: AppState,
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[derive(Serialize)]
struct Answer<'a> {
    app: &'a AppId,
    maintenance: bool,
    /// On every edge.
    live: bool,
}

/// A time such as `2026-12-01T18:00:00Z`, or a span from now on such as `30m`.
pub fn parse_until(text: &str) -> Result<Timestamp, String> {
    let now = Timestamp::now();
    let until = match text.parse::<SignedDuration>() {
        Ok(span) => now.checked_add(span).map_err(|error| error.to_string())?,
        Err(_) => text.parse().map_err(|_| "wanted a time such as 2026-12-01T18:00:00Z, or from now on 30m or 2h".to_owned())?,
    };
    if until > now { Ok(until) } else { Err("that time is over".to_owned()) }
}

pub async fn on(id: &AppId, until: Option<Timestamp>, why: Option<String>, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let expect = state_that_may_change(id, store.as_ref()).await?;
    let author = Author::person(why);
    let written = Written { state: AppState::Maintenance, by: &author.by, why: author.why.as_deref(), until };
    let change = Transaction::new(author.clone()).put(Key::of(Kind::State, id), expect, json(&written)?);
    store.commit(&change).await?;
    wait_until_live(id, true, asked).await
}

pub async fn off(id: &AppId, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let expect = state_that_may_change(id, store.as_ref()).await?;
    if let Found::Entry(entry) = look(store.as_ref(), &Key::of(Kind::App, id)).await?.1
        && let Some(layer) = entry.layer()
        && field(layer, "state")
            .is_some_and(|node| matches!(&node.value, karman_contract::read::Value::String(s) if s == "maintenance"))
    {
        let line = place_of(layer, "state").map_or(0, |place| place.line);
        return Err(Failure::usage(format!("{}:{line} says maintenance itself: change it there", entry.file)));
    }
    store.commit(&Transaction::new(Author::person(None)).remove(Key::of(Kind::State, id), expect)).await?;
    wait_until_live(id, false, asked).await
}

/// Refuses what this verb would spoil: an app that is not there, a state that a person wrote, and
/// one that says something else than maintenance. What the change of it has to expect.
async fn state_that_may_change(id: &AppId, store: &dyn Store) -> Result<Expect, Failure> {
    if let (_, Found::Nothing) = look(store, &Key::of(Kind::App, id)).await? {
        let store = store.place();
        return Err(Failure::usage(format!("there is no app '{id}' in the store {store}: no apps/{id}.yaml")));
    }
    let key = Key::of(Kind::State, id);
    let (expect, found) = look(store, &key).await?;
    let file = match &found {
        Found::Nothing => return Ok(expect),
        Found::Entry(entry) => entry.file.clone(),
        Found::Broken(mistakes) => mistakes.file.clone(),
    };
    if file.ends_with(".yaml") {
        return Err(Failure::usage(format!(
            "{file} was written by a person, and verbs leave such files alone: edit or remove it"
        )));
    }
    let state = found.entry().and_then(|entry| entry.state());
    if let Some(state) = state.filter(|state| !matches!(state.state, AppState::Running | AppState::Maintenance)) {
        let (word, by) = (state.state.as_str(), state.by.as_deref().unwrap_or("somebody"));
        return Err(Failure::usage(format!("{id} is {word} by {by} ({file}), which this would undo")));
    }
    Ok(expect)
}

async fn look(store: &dyn Store, key: &Key) -> Result<(Expect, Found), StoreError> {
    let seen = store.look(key).await?;
    Ok((seen.unchanged(), Found::read(key, seen)))
}

/// Waits until every edge that can be asked from here does so.
async fn wait_until_live(id: &AppId, maintenance: bool, asked: &Asked) -> Result<(), Failure> {
    let edges = ways(asked).await;
    let deadline = Instant::now() + LIVE_WITHIN;
    let unasked = loop {
        let (mut late, mut silent, mut unasked) = (Vec::new(), Vec::new(), Vec::new());
        for (name, way) in &edges {
            match is_closed(way, id).await {
                Ok(closed) if closed == Some(maintenance) => {}
                Ok(_) => late.push(name),
                Err(Silence::Trouble(why)) => silent.push((name, why)),
                Err(Silence::Elsewhere(_)) => unasked.push(name.clone()),
            }
        }
        if late.is_empty() && silent.is_empty() {
            break unasked;
        }
        if let (true, Some((name, why))) = (late.is_empty() || Instant::now() > deadline, silent.first()) {
            let message = format!(
                "written to the store, but the edge {name} does not answer; it does so once it is reached\n{why}\n{GONE}"
            );
            return Err(Failure::new(Exit::Unavailable, message));
        }
        if let Some(name) = late.first().filter(|_| Instant::now() > deadline) {
            return Err(asked.late(name).await);
        }
        sleep(ASK_EVERY).await;
    };
    if !unasked.is_empty() {
        eprintln!(
            "karman: written to the store; not reachable from here, and not asked whether they do it: {}",
            unasked.join(", ")
        );
    }
    let live = unasked.is_empty();
    if asked.json {
        return print_json(&Answer { app: id, maintenance, live });
    }
    print(&format!("{id} {}\n", if maintenance { "is closed for maintenance" } else { "is open again" }))
}

/// Whether an edge has the app closed; none where it has no such app.
async fn is_closed(way: &Result<Way, Silence>, id: &AppId) -> Result<Option<bool>, Silence> {
    let admin = way.as_ref().map_err(Clone::clone)?.admin().await?;
    match within(admin.app(id)).await? {
        Ok(app) => Ok(Some(app.app.get("state").and_then(Value::as_str) == Some("maintenance"))),
        Err(AdminError::Refused(_)) => Ok(None),
        Err(error) => Err(Silence::Trouble(error.failure(admin.socket()).message)),
    }
}

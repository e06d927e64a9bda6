//! `karman drain INSTANCE`: lets an instance become empty, and waits until it is so on every edge.
//!
//! It writes `draining/APP.json`, which goes before what the instance's own entry says: that one has
//! another writer, and may be written anew at any time.

mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use karman_contract::answer::Refusal;
use karman_contract::name::{AppId, InstanceId};
use karman_contract::read::Value as Field;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use self::progress::Progress;
use super::ways::{GONE, Silence, Way, Ways, ways, within};
use super::{Asked, LIVE_WITHIN, json, print, print_json};
use crate::admin::AdminError;
use crate::failure::{Exit, Failure};
use crate::layer::field;
use crate::store::{Author, Found, Key, Kind, Reading, Store, Transaction};

/// How long an edge may say nothing before the wait is given up.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Debug)]
pub struct Order {
    pub instance: InstanceId,
    /// Where several apps have an instance of this name.
    pub app: Option<AppId>,
    /// Take it back instead.
    pub resume: bool,
    pub wait: bool,
    pub why: Option<String>,
}

/// One instance in `draining/APP.json`, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// What an edge holds of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Held {
    /// Whether it does what was asked for.
    live: bool,
    tunnels: u64,
    in_flight: u64,
    drained: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    app: &'a AppId,
    instance: &'a InstanceId,
    draining: bool,
    drained: bool,
    edges: &'a BTreeMap<String, Held>,
}

pub async fn run(order: Order, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let app = app_of(&order, &store.read(&[Kind::App, Kind::Instances]).await?)?;
    write(&order, &app, store.as_ref()).await?;
    let edges = ways(asked).await;
    let held = wait(&order, &app, &edges, asked).await?;
    let unasked: Vec<_> = edges.keys().filter(|name| !held.contains_key(*name)).map(String::as_str).collect();
    let drained = unasked.is_empty() && held.values().all(|held| held.drained);
    if !unasked.is_empty() {
        eprintln!("karman: not reachable from here, and not asked what they hold: {}", unasked.join(", "));
    }
    if asked.json {
        let answer = Answer { app: &app, instance: &order.instance, draining: !order.resume, drained, edges: &held };
        return print_json(&answer);
    }
    let instance = &order.instance;
    let left: u64 = held.values().map(|held| held.tunnels + held.in_flight).sum();
    print(&match (order.resume, drained) {
        (true, _) => format!("{instance} of {app} takes clients again\n"),
        (false, true) => format!("{instance} of {app} is drained\n"),
        (false, false) => format!("{instance} of {app} is being drained; sockets and requests left: {left}\n"),
    })
}

/// The app that has the instance.
fn app_of(order: &Order, reading: &Reading) -> Result<AppId, Failure> {
    let mut apps = BTreeSet::new();
    for (key, seen) in &reading.entries {
        let Some((id, entry)) = key.app().zip(Found::read(key, seen.clone()).entry().cloned()) else { continue };
        let own = entry.layer().and_then(|layer| field(layer, "instances")).map(|node| &node.value);
        let lists = match own {
            Some(Field::Map(instances)) => instances.iter().any(|(key, _)| *key.name == *order.instance.as_str()),
            _ => entry.instances().is_some_and(|instances| instances.contains_key(&order.instance)),
        };
        if lists && order.app.as_ref().is_none_or(|app| *app == id) {
            apps.insert(id);
        }
    }
    let instance = &order.instance;
    let mut found = apps.iter();
    match (found.next(), found.next()) {
        (Some(app), None) => Ok(app.clone()),
        (Some(one), Some(other)) => {
            Err(Failure::usage(format!("{one} and {other} have an instance '{instance}': say which with --app")))
        }
        (None, _) => {
            let of = order.app.as_ref().map(|app| format!(" of the app '{app}'")).unwrap_or_default();
            Err(Failure::usage(format!("there is no instance '{instance}'{of} in the store")))
        }
    }
}

async fn write(order: &Order, app: &AppId, store: &dyn Store) -> Result<(), Failure> {
    let key = Key::of(Kind::Draining, app);
    let seen = store.look(&key).await?;
    let expect = seen.unchanged();
    let mut draining = match Found::read(&key, seen) {
        Found::Broken(mistakes) => return Err(Failure::data(mistakes.to_string())),
        Found::Entry(entry) if entry.file.ends_with(".yaml") => {
            let file = &entry.file;
            return Err(Failure::usage(format!(
                "{file} was written by a person, and verbs leave such files alone: edit or remove it"
            )));
        }
        found => found.entry().and_then(|entry| entry.draining().cloned()).unwrap_or_default(),
    };
    let author = Author::person(order.why.clone());
    if order.resume {
        draining.remove(&order.instance);
    } else {
        let word = crate::store::entry::Word { by: Some(author.by.clone()), why: author.why.clone() };
        draining.insert(order.instance.clone(), word);
    }
    let written: BTreeMap<_, _> = draining
        .iter()
        .map(|(id, word)| (id, Written { by: word.by.as_deref().unwrap_or("a person"), why: word.why.as_deref() }))
        .collect();
    let change = Transaction::new(author);
    let change = if draining.is_empty() { change.remove(key, expect) } else { change.put(key, expect, json(&written)?) };
    Ok(store.commit(&change).await?)
}

/// Waits until every edge does as asked; with `wait`, until none holds anything of the instance.
async fn wait(order: &Order, app: &AppId, edges: &Ways, asked: &Asked) -> Result<BTreeMap<String, Held>, Failure> {
    let mut progress = Progress::new(!asked.json && order.wait);
    let held = wait_showing(&mut progress, order, app, edges, asked).await;
    progress.end();
    held
}

async fn wait_showing(
    progress: &mut Progress,
    order: &Order,
    app: &AppId,
    edges: &Ways,
    asked: &Asked,
) -> Result<BTreeMap<String, Held>, Failure> {
    let start = Instant::now();
    let mut heard: BTreeMap<&String, Instant> = edges.keys().map(|name| (name, start)).collect();
    loop {
        let (mut held, mut silent) = (BTreeMap::new(), Vec::new());
        for (name, way) in edges {
            match ask(way, app, order).await {
                Ok(now) => {
                    heard.insert(name, Instant::now());
                    held.insert(name.clone(), now);
                }
                // What was written reaches it all the same; only what it holds cannot be waited for.
                Err(Silence::Elsewhere(_)) if !order.wait => {}
                Err(why) => silent.push((name, why)),
            }
        }
        let left = held.values().map(|held| held.tunnels + held.in_flight).sum();
        progress.show(left, silent.iter().map(|(name, _)| name.as_str()));
        let done = |held: &Held| held.live && (held.drained || !order.wait);
        if silent.is_empty() && held.values().all(done) {
            return Ok(held);
        }
        let is_given_up = |name: &String| heard.get(name).is_some_and(|heard| heard.elapsed() > SILENCE_MAX);
        for (name, why) in silent {
            match why {
                Silence::Elsewhere(why) => return Err(unknown(name, &format!("it is not reachable from here: {why}"))),
                Silence::Trouble(why) if is_given_up(name) => return Err(unknown(name, &why)),
                Silence::Trouble(_) => {}
            }
        }
        if let Some((name, _)) = held.iter().find(|(_, held)| !held.live).filter(|_| start.elapsed() > LIVE_WITHIN) {
            return Err(asked.late(name).await);
        }
        sleep(ASK_EVERY).await;
    }
}

fn unknown(edge: &str, why: &str) -> Failure {
    let message =
        format!("written to the store, but the edge {edge} does not answer, so what it holds is not known: {why}\n{GONE}");
    Failure::new(Exit::Unavailable, message)
}

async fn ask(way: &Result<Way, Silence>, app: &AppId, order: &Order) -> Result<Held, Silence> {
    let admin = way.as_ref().map_err(Clone::clone)?.admin().await?;
    let status = match within(admin.app(app)).await? {
        Ok(status) => status,
        // It serves no such app: there is nothing to hold.
        Err(AdminError::Refused(Refusal::NotFound { .. })) => {
            return Ok(Held { live: !order.resume, tunnels: 0, in_flight: 0, drained: true });
        }
        Err(error) => return Err(Silence::Trouble(error.to_string())),
    };
    let instance = status.app.pointer(&format!("/instances/{}", order.instance));
    let takes_clients = instance.is_some_and(|instance| instance.get("state").and_then(Value::as_str) != Some("draining"));
    let live = takes_clients == order.resume;
    Ok(match status.instances.get(&order.instance) {
        Some(now) => Held { live, tunnels: now.tunnels, in_flight: now.in_flight, drained: now.drained },
        None => Held { live, tunnels: 0, in_flight: 0, drained: true },
    })
}

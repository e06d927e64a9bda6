//! `karman apps compare OLD NEW`: asks two edges for every host, and lists where they differ.
//!
//! For moving in: what the new edge would do otherwise is seen before the names point to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_contract::name::AppId;
use serde::Serialize;
use serde_json::Value;

use super::table::table;
use super::{print, print_json};
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::publish::ssh::Forward;
use crate::publish::target::Target;
use crate::row;

/// A host that the two edges treat differently.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub host: String,
    pub old: Option<AppId>,
    pub new: Option<AppId>,
    /// The fields in which the app differs, if it is the same app.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

type Apps = BTreeMap<AppId, Value>;

pub async fn run(old: &Target, new: &Target, json: bool) -> Result<(), Failure> {
    let (old, new) = (apps_of(old).await?, apps_of(new).await?);
    let differences = differences(&old, &new);
    if json {
        print_json(&differences)?;
    } else if differences.is_empty() {
        print(&format!("both serve the same: {} hosts\n", hosts(&old).len()))?;
    } else {
        let mut rows = vec![row!["HOST", "OLD", "NEW", "DIFFERENT"]];
        for Difference { host, old, new, fields } in &differences {
            let app = |app: &Option<AppId>| app.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            rows.push(row![host, app(old), app(new), fields.join(" ")]);
        }
        print(&table(&rows))?;
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(Exit::Data, format!("the edges differ in {} hosts", differences.len())))
    }
}

async fn apps_of(target: &Target) -> Result<Apps, Failure> {
    let (socket, _forward) = match target {
        Target::Socket(socket) => (socket.clone(), None),
        Target::Ssh { .. } => {
            let forward = Forward::to(target).map_err(|error| Failure::system(target, &error))?;
            forward.wait_until_up().await;
            (forward.socket(), Some(forward))
        }
    };
    let admin = Admin::new(socket);
    let (_, apps) = admin.apps().await.map_err(|error| error.failure(admin.socket()))?;
    Ok(apps)
}

/// Where two edges differ, by host.
pub fn differences(old: &Apps, new: &Apps) -> Vec<Difference> {
    let (old_hosts, new_hosts) = (hosts(old), hosts(new));
    let mut all: Vec<_> = old_hosts.keys().chain(new_hosts.keys().filter(|host| !old_hosts.contains_key(*host))).collect();
    all.sort();
    let difference = |host: &&Arc<str>| {
        let (of_old, of_new) = (old_hosts.get(*host).copied(), new_hosts.get(*host).copied());
        let fields = match (of_old, of_new) {
            (Some(one), Some(other)) if one == other => different_fields(old.get(one)?, new.get(other)?),
            _ => Vec::new(),
        };
        if of_old == of_new && fields.is_empty() {
            return None;
        }
        Some(Difference { host: host.to_string(), old: of_old.cloned(), new: of_new.cloned(), fields })
    };
    all.iter().filter_map(difference).collect()
}

fn hosts(apps: &Apps) -> BTreeMap<Arc<str>, &AppId> {
    let hosts = apps.iter().flat_map(|(id, app)| {
        let hosts = app.get("hosts").and_then(Value::as_array).into_iter().flatten();
        hosts.filter_map(Value::as_str).map(move |host| (Arc::from(host), id))
    });
    hosts.collect()
}

/// Who changed an app last is no difference in what it does.
fn different_fields(old: &Value, new: &Value) -> Vec<String> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return Vec::new() };
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    names.filter(|name| *name != "note" && old.get(*name) != new.get(*name)).cloned().collect()
}

//! `karman apps`: what the proxy serves.

use std::collections::BTreeMap;

use karman_contract::document::Stamp;
use karman_contract::name::AppId;
use serde::Serialize;
use serde_json::Value;

use super::table::table;
use super::{Asked, print, print_json};
use crate::failure::Failure;
use crate::publish::report::Report;
use crate::row;

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    stamp: Stamp,
    apps: BTreeMap<AppId, Value>,
}

pub async fn run(asked: &Asked) -> Result<(), Failure> {
    let (stamp, apps) = asked.heard(asked.admin.apps().await)?;
    if asked.json {
        return print_json(&Answer { stamp, apps });
    }
    let report = asked.report().await;
    let mut rows = vec![row!["APP", "STATE", "OWNER", "INSTANCES", "HOSTS", ""]];
    for (id, app) in &apps {
        rows.push(row![id, text(app, "state"), text(app, "owner"), instances(app), hosts(app), wrong(id, report.as_ref())]);
    }
    for id in report.iter().flat_map(|report| report.mistakes.iter().filter_map(|mistake| mistake.app.as_ref())) {
        if !apps.contains_key(id) {
            rows.push(row![id, "not served", "", "", "", wrong(id, report.as_ref())]);
        }
    }
    print(&table(&rows))
}

/// The apps are shown as the proxy wrote them: a newer one may say more than this release knows.
fn text<'a>(app: &'a Value, field: &str) -> &'a str {
    app.get(field).and_then(Value::as_str).unwrap_or("?")
}

fn hosts(app: &Value) -> String {
    let hosts = app.get("hosts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let shown: Vec<_> = hosts.iter().take(3).filter_map(Value::as_str).collect();
    let more = hosts.len().saturating_sub(shown.len());
    if more == 0 { shown.join(" ") } else { format!("{} and {more} more", shown.join(" ")) }
}

fn instances(app: &Value) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for instance in app.get("instances").and_then(Value::as_object).into_iter().flat_map(|instances| instances.values()) {
        *counts.entry(text(instance, "state")).or_default() += 1;
    }
    let counts: Vec<_> = counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

fn wrong(id: &AppId, report: Option<&Report>) -> String {
    let Some(report) = report else { return String::new() };
    let mistakes = report.mistakes.iter().filter(|mistake| mistake.app.as_ref() == Some(id));
    let mut wrong: Vec<_> = mistakes.map(|mistake| format!("mistake in {}", mistake.file)).collect();
    if report.refused.contains_key(id) {
        wrong.push("refused by the proxy".to_owned());
    }
    if report.held.as_ref().is_some_and(|held| held.apps.contains(id)) {
        wrong.push("gone from the store".to_owned());
    }
    if wrong.is_empty() { wrong.concat() } else { format!("! {}", wrong.join("; ")) }
}

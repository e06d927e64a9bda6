//! `karman status`: the proxy, the publisher, and what is wrong.

use jiff::Timestamp;
use karman_contract::document::DocumentName;
use karman_contract::status::{DocumentStatus, Status};
use serde::Serialize;

use super::table::table;
use super::{Asked, Publisher, ago, print, print_json, span};
use crate::failure::Failure;
use crate::publish::report::Report;
use crate::row;

#[derive(Serialize)]
struct Answer<'a> {
    proxy: Option<&'a Status>,
    publisher: &'a Publisher,
}

pub async fn run(asked: &Asked) -> Result<(), Failure> {
    let publisher = asked.publisher();
    // What is known of the publisher is shown even if no proxy answers.
    let proxy = asked.admin.status().await.map_err(|error| error.failure(asked.admin.socket()));
    if asked.json {
        print_json(&Answer { proxy: proxy.as_ref().ok(), publisher: &publisher })?;
    } else {
        let now = Timestamp::now();
        let mut rows = proxy.as_ref().map(|status| proxy_rows(status, now)).unwrap_or_default();
        rows.push(row!["publisher", publisher_line(asked, &publisher)]);
        print(&table(&rows))?;
        print(&publisher.report.as_ref().map(wrongs).unwrap_or_default())?;
    }
    proxy.map(drop)
}

fn proxy_rows(status: &Status, now: Timestamp) -> Vec<Vec<String>> {
    let Status { version, edge, started_at, draining, connections, tunnels, bound, documents, processes, .. } = status;
    let up = span(now.duration_since(*started_at));
    let draining = if *draining { ", draining" } else { "" };
    let mut rows = vec![
        row!["edge", format!("{} in {}, karman-proxy {version}, up {up}{draining}", edge.name, edge.region)],
        row!["carries", format!("{connections} connections, {tunnels} tunnels")],
    ];
    let mut listens: Vec<String> = bound.http.iter().map(|address| format!("http {address}")).collect();
    listens.extend(bound.https.iter().map(|address| format!("https {address}")));
    listens.extend(bound.probe.iter().map(|address| format!("probe {address}")));
    rows.push(row!["listens", listens.join(", ")]);
    for name in [DocumentName::Apps, DocumentName::Pages] {
        rows.push(row![name, document_line(documents.get(&name), now)]);
    }
    for process in processes.iter().filter(|_| processes.len() > 1) {
        let role = serde_json::to_value(process.role).ok().and_then(|role| role.as_str().map(str::to_owned)).unwrap_or_default();
        rows.push(row!["process", format!("{} ({role}), {} tunnels", process.pid, process.tunnels)]);
    }
    rows
}

fn document_line(document: Option<&DocumentStatus>, now: Timestamp) -> String {
    let Some((document, stamp)) = document.and_then(|document| Some((document, document.stamp?))) else {
        return "none yet".to_owned();
    };
    let mut line = format!("generation {}", stamp.generation);
    if let Some(at) = document.applied_at {
        line.push_str(&format!(", applied {}", ago(at, now)));
    }
    match document.confirmed_at {
        Some(at) => line.push_str(&format!(", confirmed {}", ago(at, now))),
        None => line.push_str(", not confirmed yet"),
    }
    line
}

fn publisher_line(asked: &Asked, publisher: &Publisher) -> String {
    let store = asked.store.root().display();
    let Some(pid) = publisher.pid else {
        return format!("none runs on {store}: 'karman publish --store {store}' starts one");
    };
    let Some(report) = &publisher.report else { return format!("pid {pid} on {store}") };
    let generation = report.store.generation;
    let is_well = report.mistakes.is_empty() && report.refused.is_empty() && report.held.is_none();
    let how = match &report.problem {
        Some(problem) => problem.as_str(),
        None if is_well => "all is live",
        None => "live, but for what is below",
    };
    format!("pid {pid} on {store}, generation {generation}: {how}")
}

fn wrongs(report: &Report) -> String {
    let mut text = String::new();
    for mistake in &report.mistakes {
        text.push_str(&format!("\nthe last good version goes on:\n{}\n", mistake.text));
    }
    for (id, reasons) in &report.refused {
        text.push_str(&format!("\nthe proxy refused {id} and keeps what it has:\n"));
        reasons.iter().for_each(|reason| text.push_str(&format!("  {reason}\n")));
    }
    if let Some(held) = &report.held {
        let (gone, of) = (held.apps.len(), held.of);
        text.push_str(&format!("\n{gone} of {of} apps are gone from the store, and the proxy keeps them.\n"));
        text.push_str("If that is meant: karman publish --accept\n");
    }
    text
}

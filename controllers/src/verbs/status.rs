//! `karman status`: the proxy, the publisher, and what is wrong.

use std::collections::BTreeMap;

use jiff::Timestamp;
use karman_contract::document::DocumentName;
use karman_contract::status::{DocumentStatus, Status};
use serde::Serialize;

use super::table::table;
use super::ways::GONE;
use super::{Asked, Published, Publishers, ago, print, print_json, span, word};
use crate::failure::Failure;
use crate::publish::report::{EdgeReport, Mistake};
use crate::row;
use crate::store::{Kind, StoreError};

#[derive(Serialize)]
struct Answer<'a> {
    proxy: Option<&'a Status>,
    edges: &'a BTreeMap<String, EdgeReport>,
    publishers: &'a Publishers,
}

pub async fn run(asked: &Asked) -> Result<(), Failure> {
    let publishers = asked.publishers().await;
    let edges = edges(asked).await;
    // What is known of the publisher is shown even if no proxy answers.
    let proxy = asked.status().await;
    if asked.json {
        print_json(&Answer { proxy: proxy.as_ref().ok(), edges: &edges, publishers: &publishers })?;
    } else {
        let now = Timestamp::now();
        let mut rows = proxy.as_ref().map(|status| proxy_rows(status, now)).unwrap_or_default();
        rows.extend(edges.iter().map(|(name, edge)| row!["reached", edge_line(name, edge, &publishers, now)]));
        rows.extend(publisher_lines(asked, &publishers).into_iter().map(|line| row!["publisher", line]));
        print(&table(&rows))?;
        print(&wrongs(&publishers))?;
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
    // An edge without HTTPS has none of these.
    for name in [DocumentName::Certificates, DocumentName::Keys] {
        let document = documents.get(&name).filter(|document| document.stamp.is_some());
        rows.extend(document.map(|document| row![name, document_line(Some(document), now)]));
    }
    for process in processes.iter().filter(|_| processes.len() > 1) {
        rows.push(row!["process", format!("{} ({}), {} tunnels", process.pid, word(process.role), process.tunnels)]);
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
    if document.unconfirmed {
        line.push_str(": UNCONFIRMED, served on; no publisher is heard of, and addresses that fail are not used again");
    }
    line
}

/// What the publishers know of each edge.
pub(super) async fn edges(asked: &Asked) -> BTreeMap<String, EdgeReport> {
    let read = async {
        let store = asked.store().await.map_err(|failure| StoreError::Refused(failure.message))?;
        store.read(&[Kind::Edge]).await
    };
    let entries = read.await.map(|reading| reading.entries).unwrap_or_default();
    let report = |seen: &crate::store::Seen| serde_json::from_str(&seen.text()?.text).ok();
    entries.iter().filter_map(|(key, seen)| Some((key.id.to_string(), report(seen)?))).collect()
}

/// How far an edge is behind the store.
fn edge_line(name: &str, edge: &EdgeReport, publishers: &Publishers, now: Timestamp) -> String {
    let is_this = |published: &&Published| published.report.edge.as_ref().is_some_and(|edge| edge.name == name);
    let store = publishers.edges.values().find(is_this).map(|published| published.report.store);
    let has = edge.confirmed.get(&DocumentName::Apps);
    let generation = has.map_or_else(|| "no generation".to_owned(), |stamp| format!("generation {}", stamp.generation));
    let behind = match (store, has) {
        (Some(store), Some(has)) if store.epoch == has.epoch => match store.generation.saturating_sub(has.generation) {
            0 => ", up to date".to_owned(),
            behind => format!(", {behind} behind the store"),
        },
        (Some(store), _) => format!(", the store is at {store}"),
        (None, _) => String::new(),
    };
    let alive = match edge.alive_until < now {
        true => format!(", not heard of for {}; {GONE}", span(now.duration_since(edge.alive_until))),
        false => String::new(),
    };
    format!("{name} in {}, contract {}, {generation}{behind}{alive}", edge.region, edge.contract)
}

fn publisher_lines(asked: &Asked, publishers: &Publishers) -> Vec<String> {
    let place = &asked.place;
    if let Some(problem) = &publishers.problem {
        return vec![format!("unknown: {problem}")];
    }
    if !publishers.is_running() {
        return vec![format!("none runs on {place}: 'karman publish --store {place}' starts one")];
    }
    if publishers.edges.is_empty() {
        return vec![format!("{} on {place}", publishers.holder.as_deref().unwrap_or_default())];
    }
    publishers.edges.iter().map(|(label, published)| publisher_line(asked, label.as_str(), published)).collect()
}

fn publisher_line(asked: &Asked, label: &str, published: &Published) -> String {
    let Published { holder, report } = published;
    let Some(holder) = holder else { return format!("none runs for {label} any more") };
    let is_well = [report.mistakes.is_empty(), report.refused.is_empty(), report.rejected.is_empty(), report.without.is_empty()];
    let is_well = is_well.into_iter().all(|well| well) && !report.is_held();
    let how = match &report.problem {
        Some(problem) => problem.as_str(),
        None if is_well => "all is live",
        None => "live, but for what is below",
    };
    format!("{holder}, on {} for {}, generation {}: {how}", asked.place, report.at_socket, report.store.generation)
}

fn wrongs(publishers: &Publishers) -> String {
    let mut text = String::new();
    // All edges of a store have the same mistakes.
    let mut told: Vec<&Mistake> = Vec::new();
    for mistake in publishers.edges.values().flat_map(|edge| &edge.report.mistakes) {
        if !told.contains(&mistake) {
            text.push_str(&format!("\nthe last good version goes on:\n{}\n", mistake.text));
            told.push(mistake);
        }
    }
    let several = publishers.edges.len() > 1;
    for (label, Published { report, .. }) in &publishers.edges {
        let proxy = if several { format!("the proxy of {label}") } else { "the proxy".to_owned() };
        for (id, reasons) in &report.refused {
            text.push_str(&format!("\n{proxy} keeps what it has of {id}:\n"));
            reasons.iter().for_each(|reason| text.push_str(&format!("  {reason}\n")));
        }
        for (what, reasons) in &report.rejected {
            text.push_str(&format!("\n{proxy} refused {what} and does without it:\n"));
            reasons.iter().for_each(|reason| text.push_str(&format!("  {reason}\n")));
        }
        let edge = report.edge.as_ref().map_or(label.as_str(), |edge| edge.name.as_str());
        for (field, without) in &report.without {
            text.push_str(&format!("\nthe edge {edge} does not know '{field}': {without}.\nUpgrade its proxy.\n"));
        }
        let apps = report.held.as_ref().map(|held| (held.apps.len(), held.of, "apps"));
        let certificates = report.held_certificates.as_ref().map(|held| (held.certificates.len(), held.of, "certificates"));
        for (gone, of, what) in apps.into_iter().chain(certificates) {
            text.push_str(&format!("\n{gone} of {of} {what} are gone from the store, and {proxy} keeps them.\n"));
        }
        if report.held.is_some() || report.held_certificates.is_some() {
            text.push_str("If that is meant: karman publish --accept\n");
        }
    }
    text
}

//! What the admin socket tells of the edge: its status, its apps and certificates, and what is live about an app.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use karman_contract::CONTRACT;
use karman_contract::answer::Refusal;
use karman_contract::app::{App as Wire, InstanceState};
use karman_contract::document::DocumentName;
use karman_contract::fields;
use karman_contract::name::{AppId, InstanceId};
use karman_contract::read::{Reason, quoted};
use karman_contract::status::{
    AppCounts, AppStatus, AppsPage, CertificatesPage, DocumentStatus, Health, InstanceStatus, SocketCounts, Status,
};

use super::Admin;
use crate::documents::Table;
use crate::http_server::Reply;
use crate::table::App;
use crate::vitals::{AppVitals, Books, ClosedBy, Which};

/// Apps or certificates on one page of their list; a caller may ask for fewer.
const PAGE_ITEMS_MAX: usize = 1_000;

impl Admin {
    pub(super) fn status(&self) -> Status {
        let edge = &self.edge;
        let processes = edge.processes.list(edge.tunnels.len() as u64);
        let settings = &edge.settings;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            contract: CONTRACT,
            edge: karman_contract::status::Edge { name: settings.edge.name.clone(), region: settings.edge.region.clone() },
            started_at: edge.started_at,
            draining: edge.is_ending() || edge.drain.is_on(),
            drain: edge.drain.standing(),
            edges: Some(edge.share.edges()),
            connections: edge.connections() as u64 + edge.processes.connections(),
            tunnels: processes.iter().map(|process| process.tunnels).sum(),
            bound: self.bound.clone(),
            documents: BTreeMap::from([
                (DocumentName::Apps, DocumentStatus { unconfirmed: edge.health.is_unconfirmed(), ..self.apps.status() }),
                (DocumentName::Pages, self.pages.status()),
                (DocumentName::Certificates, self.certificates.status()),
                (DocumentName::Keys, self.keys.status()),
            ]),
            processes,
            not_yet: Vec::new(),
            fields: fields::all().map(str::to_owned).collect(),
        }
    }

    pub(super) fn page_of_apps(&self, query: &str) -> Result<Reply, Refusal> {
        let table = self.apps.live.pin();
        let (apps, more) = page(table.sorted(), query, |app| app.id.as_str())?;
        let next = apps.last().filter(|_| more).map(|app| app.id.clone());
        let apps: BTreeMap<AppId, &Wire> = apps.into_iter().map(|app| (app.id.clone(), &app.wire)).collect();
        Ok(Reply::json(200, &AppsPage { stamp: table.stamp().unwrap_or_default(), apps, next }))
    }

    pub(super) fn page_of_certificates(&self, query: &str) -> Result<Reply, Refusal> {
        let table = self.certificates.live.pin();
        let (page, more) = page(table.sorted(), query, |certificate| certificate.id.as_str())?;
        let next = page.last().filter(|_| more).map(|certificate| certificate.id.clone());
        let certificates = page.into_iter().map(|certificate| (certificate.id.clone(), certificate.status())).collect();
        Ok(Reply::json(200, &CertificatesPage { stamp: table.stamp().unwrap_or_default(), certificates, next }))
    }

    pub(super) fn one_app(&self, id: &str) -> Result<Reply, Refusal> {
        let table = self.apps.live.pin();
        let app = table.get(id).ok_or_else(|| Refusal::NotFound { what: format!("app '{id}'") })?;
        let instances = self.instances(app);
        let mut live = live(&app.vitals);
        live.sockets += self.edge.processes.tunnels().get(&app.id).copied().unwrap_or(0);
        Ok(Reply::json(200, &AppStatus { id: app.id.clone(), app: &app.wire, live, instances }))
    }

    /// What all processes of the edge hold of the app's instances, those that have left it included.
    fn instances(&self, app: &App) -> BTreeMap<InstanceId, InstanceStatus> {
        let mut instances = BTreeMap::new();
        let mut add = |id: &InstanceId, health, tunnels: u64, in_flight: u64, oldest: Option<u64>, books: Option<&Books>| {
            let nothing = InstanceStatus { in_flight: 0, tunnels: 0, sockets: SocketCounts::default(), health, drained: false };
            let status: &mut InstanceStatus = instances.entry(id.clone()).or_insert(nothing);
            status.tunnels += tunnels;
            status.in_flight += in_flight;
            status.sockets.oldest_seconds = status.sockets.oldest_seconds.max(oldest);
            if let Some(books) = books {
                add_books(&mut status.sockets, books);
            }
        };
        let departed = app.vitals.departed();
        for (id, vitals) in app
            .instances
            .iter()
            .map(|instance| (&instance.id, &instance.vitals))
            .chain(departed.iter().map(|(id, vitals)| (id, vitals)))
        {
            let (tunnels, in_flight) = (vitals.tunnels.load(Relaxed), vitals.in_flight.load(Relaxed));
            let oldest = self.edge.tunnels.oldest_to(&Which::of(vitals)).map(|age| age.as_secs());
            add(id, vitals.health(), tunnels.into(), in_flight.into(), oldest, Some(&vitals.books));
        }
        let others = self.edge.processes.reports();
        for carried in others.iter().flat_map(|(report, _)| &report.carried).filter(|carried| carried.of.app == app.id) {
            let oldest = carried.oldest_ms.map(|millis| millis / 1_000);
            add(&carried.of.instance, Health::Unknown, carried.tunnels, carried.in_flight, oldest, None);
        }
        let all_known = others.iter().all(|(_, answers)| *answers);
        for (id, status) in &mut instances {
            let goes = app.instance(id).is_none_or(|instance| instance.state == InstanceState::Draining);
            status.drained = goes && all_known && status.tunnels + status.in_flight == 0;
        }
        instances
    }
}

/// The part of a sorted list that `?after=ID&limit=N` asks for, and whether there is more.
fn page<T>(sorted: Vec<T>, query: &str, id: impl Fn(&T) -> &str) -> Result<(Vec<T>, bool), Refusal> {
    let limit = number(query, "limit").map_err(|reason| Refusal::Refused { reasons: vec![reason] })?;
    let limit = limit.unwrap_or(PAGE_ITEMS_MAX).clamp(1, PAGE_ITEMS_MAX);
    let after = parameter(query, "after").unwrap_or_default();
    let mut page: Vec<_> = sorted.into_iter().filter(|item| id(item) > after).take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    Ok((page, more))
}

/// The value of a name in `?name=value&...`.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The number that a name stands for there.
pub(super) fn number(query: &str, name: &str) -> Result<Option<usize>, Reason> {
    let read = |text: &str| text.parse().map_err(|_| Reason::new(name, format!("found {}, wanted a whole number", quoted(text))));
    parameter(query, name).map(read).transpose()
}

pub(super) fn live(vitals: &AppVitals) -> AppCounts {
    let count = |of: &AtomicU32| u64::from(of.load(Relaxed));
    AppCounts {
        connections: count(&vitals.connections),
        in_flight: count(&vitals.in_flight),
        queued: vitals.turns.queued().into(),
        held: count(&vitals.held),
        waiting: count(&vitals.waiting),
        sockets: count(&vitals.sockets),
        over_share: vitals.over_share.load(Relaxed),
    }
}

fn add_books(counts: &mut SocketCounts, books: &Books) {
    counts.opened += books.opened.load(Relaxed);
    counts.bytes_in += books.bytes_in.load(Relaxed);
    counts.bytes_out += books.bytes_out.load(Relaxed);
    for by in ClosedBy::ALL {
        let closed = books.closed(by).load(Relaxed);
        if closed > 0 {
            *counts.closed.entry(by.as_str().to_owned()).or_default() += closed;
        }
    }
}

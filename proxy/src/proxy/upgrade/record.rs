//! What a tunnel keeps of the request that it was, for its second line in the access log.

use std::net::IpAddr;
use std::time::Instant;

use jiff::Timestamp;

use crate::access_log::{AccessLine, Milliseconds};
use crate::caller::Caller;
use crate::edge::Edge;
use crate::exchange::Exchange;
use crate::pick::Stickiness;
use crate::tunnel::Closed;

/// The request, as small as it can be kept: one allocation for all its texts.
#[derive(Debug)]
pub(super) struct Record(Option<Box<Kept>>);

#[derive(Debug)]
struct Kept {
    opened: Instant,
    request_id: Box<str>,
    app: Box<str>,
    owner: Box<str>,
    instance: Box<str>,
    release: u64,
    host: Box<str>,
    path: Box<str>,
    client: IpAddr,
    sticky: Option<&'static str>,
    tries: u32,
    generation: Option<u64>,
}

impl Record {
    /// Writes the first line, and lets go of everything but what the second needs.
    pub(super) fn new(edge: &Edge, x: Exchange) -> Self {
        x.vitals(edge).count_request(x.status, x.started.elapsed());
        if !edge.access_log.is_on() {
            return Self(None);
        }
        edge.access_log.write(&x.line(edge));
        let (Some(app), Some(chosen)) = (&x.app, &x.chosen) else { return Self(None) };
        Self(Some(Box::new(Kept {
            opened: Instant::now(),
            app: app.id.as_str().into(),
            owner: app.wire.owner.as_str().into(),
            instance: chosen.id.as_str().into(),
            release: chosen.release,
            generation: x.table.as_ref().and_then(|table| table.stamp).map(|stamp| stamp.generation),
            sticky: x.stickiness.map(Stickiness::as_str),
            tries: x.tries,
            client: x.origin.client,
            request_id: x.request_id.into(),
            host: x.host.into(),
            path: x.path.into(),
        })))
    }

    pub(super) fn closed(&self, edge: &Edge, closed: &Closed) {
        let Some(kept) = &self.0 else { return };
        let open = kept.opened.elapsed();
        edge.access_log.write(&AccessLine {
            at: Timestamp::now(),
            edge: &edge.settings.edge.name,
            request_id: &kept.request_id,
            app: Some(&kept.app),
            owner: Some(&kept.owner),
            release: Some(kept.release),
            instance: Some(&kept.instance),
            host: &kept.host,
            method: "GET",
            path: &kept.path,
            status: 101,
            code: None,
            caller: Caller::Socket.as_str(),
            client: kept.client,
            bytes_in: closed.bytes_in,
            bytes_out: closed.bytes_out,
            ms: Milliseconds { total: open, ..Milliseconds::default() },
            sticky: kept.sticky,
            tries: kept.tries,
            tls: None,
            generation: kept.generation,
            by: Some(closed.by.as_str()),
            frames_in: None,
            frames_out: None,
            open_seconds: Some(open),
        });
    }
}

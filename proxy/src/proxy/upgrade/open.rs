//! An open tunnel in the books: counted, listed, and with its two lines in the access log.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::hold::hold;
use crate::access_log::{AccessLine, Milliseconds};
use crate::caller::Caller;
use crate::documents::Table;
use crate::edge::Edge;
use crate::exchange::Exchange;
use crate::pick::Stickiness;
use crate::tunnel::{Closed, Orphan, Registration, Side, Tunnel};
use crate::vitals::ClosedBy;

/// A tunnel from its 101 on. It is out of the books when this is dropped, however that comes.
pub(super) struct Open {
    edge: Arc<Edge>,
    registration: Registration,
    kept: Option<Box<Kept>>,
    closed: Closed,
}

/// What is kept of the request that it was, for the second line.
struct Kept {
    opened: Instant,
    request_id: Box<str>,
    app: Option<Box<str>>,
    owner: Option<Box<str>>,
    instance: Option<Box<str>>,
    release: Option<u64>,
    host: Box<str>,
    path: Box<str>,
    client: IpAddr,
    tls: Option<&'static str>,
    sticky: Option<&'static str>,
    tries: u32,
    generation: Option<u64>,
}

impl Open {
    /// Enters the tunnel, writes its first line, and lets go of the rest of the request.
    pub(super) fn new(edge: &Arc<Edge>, tunnel: Tunnel, x: Exchange) -> Self {
        let registration = edge.tunnels.enter(Arc::new(tunnel));
        registration.tunnel.app.count_request(x.status, x.started.elapsed());
        // Until it is carried: a client that is gone before it heard of its 101.
        let closed = Closed { by: ClosedBy::Client, bytes_in: 0, bytes_out: 0, frames_in: 0, frames_out: 0 };
        let kept = edge.access_log.is_on().then(|| {
            edge.access_log.write(&x.line(edge));
            Box::new(Kept::new(x))
        });
        Self { edge: Arc::clone(edge), registration, kept, closed }
    }

    pub(super) async fn carry(mut self, client: Side, app: Side) {
        let (closed, orphan) = self.registration.tunnel.carry(client, app).await;
        self.closed = closed;
        if let Some(orphan) = orphan {
            // Boxed: of a thousand tunnels few come here, and all would be as large.
            Box::pin(self.outlive(orphan)).await;
        }
    }

    /// The app's side broke under the tunnel: its client is kept if the instance has died, and let go if not.
    async fn outlive(&self, orphan: Orphan) {
        let instance = &self.registration.tunnel.instance;
        let Some(app) = self.edge.apps.pin().get(instance.app.as_str()).cloned() else { return orphan.release().await };
        // An app that lives and closed this one socket meant it.
        if self.edge.health.has_died(&app, &instance.id, instance).await {
            hold(&self.edge, &app, &self.registration.tunnel, orphan, self.registration.tunnel.hold_max()).await;
        } else {
            orphan.release().await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        for books in [&self.registration.tunnel.app.books, &self.registration.tunnel.instance.books] {
            books.close(self.closed.by);
        }
        if let Some(kept) = &self.kept {
            self.edge.access_log.write(&kept.line(&self.edge, &self.closed));
        }
    }
}

impl Kept {
    fn new(x: Exchange) -> Self {
        Self {
            opened: Instant::now(),
            app: x.app.as_ref().map(|app| app.id.as_str().into()),
            owner: x.app.as_ref().map(|app| app.wire.owner.as_str().into()),
            instance: x.chosen.as_ref().map(|chosen| chosen.id.as_str().into()),
            release: x.chosen.as_ref().map(|chosen| chosen.release),
            generation: x.table.as_ref().and_then(|table| table.stamp()).map(|stamp| stamp.generation),
            tls: x.tls,
            sticky: x.stickiness.map(Stickiness::as_str),
            tries: x.tries,
            client: x.origin.client,
            request_id: x.request_id.into(),
            host: x.host.into(),
            path: x.path.into(),
        }
    }

    fn line<'a>(&'a self, edge: &'a Edge, closed: &Closed) -> AccessLine<'a> {
        let open = self.opened.elapsed();
        AccessLine {
            at: Timestamp::now(),
            edge: &edge.settings.edge.name,
            request_id: &self.request_id,
            app: self.app.as_deref(),
            owner: self.owner.as_deref(),
            release: self.release,
            instance: self.instance.as_deref(),
            host: &self.host,
            method: "GET",
            path: &self.path,
            status: 101,
            code: None,
            why: None,
            caller: Caller::Socket.as_str(),
            client: self.client,
            bytes_in: closed.bytes_in,
            bytes_out: closed.bytes_out,
            ms: Milliseconds { total: open, ..Milliseconds::default() },
            sticky: self.sticky,
            tries: self.tries,
            tls: self.tls,
            generation: self.generation,
            by: Some(closed.by.as_str()),
            frames_in: Some(closed.frames_in),
            frames_out: Some(closed.frames_out),
            open_seconds: Some(open),
        }
    }
}

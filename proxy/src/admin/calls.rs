//! The calls of the admin socket, each in a few lines.

use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use karman_contract::answer::{Applied, Outcome, Refusal};
use karman_contract::app::App as Wire;
use karman_contract::document::{Delta, Document, DocumentName, KeysDocument};
use karman_contract::drain::DrainOrder;
use karman_contract::edges::Edges;
use karman_contract::event::EventKind;
use karman_contract::read::{Read, Unreadable};
use karman_contract::status::{Confirm, ConfirmAnswer};

use super::{Admin, follow};
use crate::documents::{Held, Table, name_of};
use crate::events::About;
use crate::http_server::{Body, Call, Reply};
use crate::table::Change;

/// What a panic of ours makes of a call.
const FAILED: &str = "the call failed; the proxy's log says why";

impl Admin {
    pub async fn answer(self: Arc<Self>, call: Call) -> Reply {
        if call.path == "/v1/events" {
            return follow::events(Arc::clone(&self.edge.events), &call);
        }
        if call.method == Method::GET && (call.path == "/v1/status" || call.path.starts_with("/v1/apps/")) {
            // What is told there is true for all processes of the edge.
            self.edge.processes.ask().await;
        }
        if call.method == Method::GET && call.path == "/v1/load" {
            return self.load(&call.query).await.unwrap_or_else(|_| Reply::text(500, FAILED));
        }
        let admin = Arc::clone(&self);
        let changing = match call.method {
            Method::PUT | Method::PATCH | Method::DELETE => Some(self.changes.read().await),
            _ => None,
        };
        // Parsing, building and saving 100,000 apps takes long: no request shall wait for it.
        let answered = self.aside.run(move || admin.answer_now(call)).await;
        drop(changing);
        answered.unwrap_or_else(|_| Reply::text(500, FAILED))
    }

    fn answer_now(&self, call: Call) -> Reply {
        let answered = match (call.method.as_str(), call.path.as_str()) {
            ("PUT", "/v1/apps") => self.confirming(self.put(&self.apps, call.body, |changes| self.follow(changes))),
            ("PATCH", "/v1/apps") => self.confirming(self.patch(&self.apps, call.body, |changes| self.follow(changes))),
            ("PUT", "/v1/pages") => self.put(&self.pages, call.body, drop),
            ("PATCH", "/v1/pages") => self.patch(&self.pages, call.body, drop),
            ("PUT", "/v1/certificates") => self.put(&self.certificates, call.body, drop),
            ("PATCH", "/v1/certificates") => self.patch(&self.certificates, call.body, drop),
            ("PUT", "/v1/keys") => self.put_keys(call.body),
            ("PUT", "/v1/edges") => self.share(call.body),
            ("PUT", "/v1/drain") => self.drain(call.body),
            ("DELETE", "/v1/drain") => self.call_off_drain(),
            ("POST", "/v1/confirm") => self.confirm(call.body),
            ("GET", "/v1/status") => Ok(Reply::json(200, &self.status())),
            ("GET", "/v1/certificates") => self.page_of_certificates(&call.query),
            ("GET", "/v1/apps") => self.page_of_apps(&call.query),
            ("GET", path) if path.starts_with("/v1/apps/") => self.one_app(path.trim_start_matches("/v1/apps/")),
            (_, path) => Err(no_such_call(path)),
        };
        answered.unwrap_or_else(|refusal| Reply::json(refusal.status(), &refusal))
    }

    fn put<T: Table>(&self, held: &Held<T>, body: Body, follow: impl FnOnce(Vec<T::Change>)) -> Result<Reply, Refusal> {
        let applied = self.parse::<Document<T::Item>>(body).and_then(|document| held.put(document, follow));
        self.tell(name_of::<T>(), applied)
    }

    fn patch<T: Table>(&self, held: &Held<T>, body: Body, follow: impl FnOnce(Vec<T::Change>)) -> Result<Reply, Refusal> {
        let applied = self.parse::<Delta<T::Item>>(body).and_then(|delta| held.patch(delta, follow));
        self.tell(name_of::<T>(), applied)
    }

    fn put_keys(&self, body: Body) -> Result<Reply, Refusal> {
        let applied = self.parse::<KeysDocument>(body).and_then(|document| self.keys.put(document));
        self.tell(DocumentName::Keys, applied)
    }

    fn follow(&self, changes: Vec<Change>) {
        for change in &changes {
            self.edge.health.follow(change);
            self.edge.drains.follow(change);
        }
        self.edge.processes.table_replaced();
    }

    /// Whoever made a change of the apps knows what they are.
    fn confirming(&self, changed: Result<Reply, Refusal>) -> Result<Reply, Refusal> {
        if changed.is_ok() {
            self.confirmed();
        }
        changed
    }

    fn confirmed(&self) {
        self.edge.health.confirmed();
        self.edge.processes.confirmed();
    }

    /// Takes in a change of the apps that the current process passes on to this one, which was taken over
    /// from. Nothing is saved or drained: that is the current one's.
    pub fn follow_current(&self, body: &[u8], whole: bool) -> Result<(), String> {
        let follow = |changes: Vec<Change>| changes.iter().for_each(|change| self.edge.health.follow(change));
        let taken = if whole {
            let document = self.parse::<Document<Wire>>(Body::Whole(body.to_vec()));
            document.and_then(|document| self.apps.put(Document { force: true, ..document }, follow))
        } else {
            let delta = self.parse::<Delta<Wire>>(Body::Whole(body.to_vec()));
            delta.and_then(|delta| self.apps.patch(delta, follow))
        };
        taken.map(drop).map_err(|refusal| refusal.to_string())
    }

    /// Makes an event of what became of a change.
    fn tell(&self, document: DocumentName, applied: Result<Applied, Refusal>) -> Result<Reply, Refusal> {
        let events = &self.edge.events;
        match &applied {
            Ok(Applied { outcome: Outcome::Applied, stamp, .. }) => {
                let cause = Some(document.to_string());
                events.tell(EventKind::DocumentApplied, About { cause, generation: Some(stamp.generation), ..About::default() });
            }
            Ok(_) => {}
            Err(refusal) => {
                self.edge.counts.refused(document, refusal);
                let held = matches!(refusal, Refusal::MassRemoval { .. });
                let kind = if held { EventKind::DocumentHeld } else { EventKind::DocumentRefused };
                let cause: String = format!("{document}: {refusal}").chars().take(CAUSE_CHARACTERS_MAX).collect();
                events.tell(kind, About { cause: Some(cause), ..About::default() });
            }
        }
        applied.map(|applied| Reply::json(200, &applied))
    }

    /// Shares with so many edges what an instance takes.
    fn share(&self, body: Body) -> Result<Reply, Refusal> {
        let edges = self.parse::<Edges>(body)?;
        match self.edge.share.tell(edges) {
            Ok(()) => Ok(Reply::json(200, &edges)),
            Err(e) => Ok(Reply::text(500, format!("the number of edges cannot be kept, and was not followed: {e}\n"))),
        }
    }

    /// Starts to move clients elsewhere.
    fn drain(&self, body: Body) -> Result<Reply, Refusal> {
        let order = self.parse::<DrainOrder>(body)?;
        let about = About { cause: order.why.clone(), by: order.by.clone(), ..About::default() };
        if let Err(e) = self.edge.drain.order(order, Timestamp::now()) {
            return Ok(Reply::text(500, format!("the order cannot be kept, and was not followed: {e}\n")));
        }
        self.edge.events.tell(EventKind::EdgeDraining, about);
        Ok(Reply::json(200, &self.status()))
    }

    /// Serves as before.
    fn call_off_drain(&self) -> Result<Reply, Refusal> {
        match self.edge.drain.call_off() {
            Ok(was_drained) if was_drained => self.edge.events.tell(EventKind::EdgeReady, About::default()),
            Ok(_) => {}
            Err(e) => return Ok(Reply::text(500, format!("the order cannot be taken back: {e}\n"))),
        }
        Ok(Reply::json(200, &self.status()))
    }

    fn confirm(&self, body: Body) -> Result<Reply, Refusal> {
        let bytes = self.whole(body)?;
        let Confirm(documents) = serde_json::from_slice(&bytes).map_err(|e| Refusal::Malformed {
            line: e.line(),
            column: e.column(),
            why: e.to_string(),
        })?;
        let agrees = |name, confirmed| match name {
            DocumentName::Apps => {
                let agreed = self.apps.confirm(confirmed);
                if agreed {
                    self.confirmed();
                }
                agreed
            }
            DocumentName::Pages => self.pages.confirm(confirmed),
            DocumentName::Keys => self.keys.confirm(confirmed),
            DocumentName::Certificates => self.certificates.confirm(confirmed),
        };
        let differs: Vec<_> =
            documents.iter().filter(|(name, confirmed)| !agrees(**name, confirmed)).map(|(name, _)| *name).collect();
        Ok(Reply::json(if differs.is_empty() { 200 } else { 409 }, &ConfirmAnswer { differs }))
    }

    fn parse<D: Read>(&self, body: Body) -> Result<D, Refusal> {
        let bytes = self.whole(body)?;
        D::read_json(&bytes).map_err(|unreadable| match unreadable {
            Unreadable::Malformed(e) => Refusal::Malformed { line: e.line, column: e.column, why: e.why },
            Unreadable::Refused(reasons) => Refusal::Refused { reasons },
        })
    }

    fn whole(&self, body: Body) -> Result<Vec<u8>, Refusal> {
        match body {
            Body::Whole(bytes) => Ok(bytes),
            Body::TooLarge => Err(Refusal::TooLarge { bytes_max: self.edge.settings.limits.admin_body_bytes as u64 }),
        }
    }
}

/// A refusal may name 100,000 reasons; an event tells the first of them.
const CAUSE_CHARACTERS_MAX: usize = 1_000;

fn no_such_call(path: &str) -> Refusal {
    let allowed: &[&str] = match path {
        "/v1/apps" | "/v1/certificates" => &["GET", "PUT", "PATCH"],
        "/v1/pages" => &["PUT", "PATCH"],
        "/v1/keys" | "/v1/edges" => &["PUT"],
        "/v1/drain" => &["PUT", "DELETE"],
        "/v1/confirm" => &["POST"],
        "/v1/status" | "/v1/events" | "/v1/load" => &["GET"],
        path if path.starts_with("/v1/apps/") => &["GET"],
        _ => &[],
    };
    if allowed.is_empty() {
        Refusal::NotFound { what: format!("call '{path}'") }
    } else {
        Refusal::MethodNotAllowed { allowed: allowed.iter().map(|method| (*method).to_owned()).collect() }
    }
}

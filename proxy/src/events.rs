//! Events: kept for those who come back, and handed to those who listen.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Mutex;

use jiff::Timestamp;
use karman_contract::code::Code;
use karman_contract::event::{EVENTS_KEPT, Event, EventKind};
use karman_contract::name::{AppId, Host, InstanceId};
use karman_contract::status::Edge;
use tokio::sync::watch;

use crate::vitals::lock;

/// What an event is about; everything else is filled in when it is told.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub app: Option<AppId>,
    pub instance: Option<InstanceId>,
    pub host: Option<Host>,
    pub code: Option<Code>,
    pub cause: Option<String>,
    pub since: Option<Timestamp>,
    pub generation: Option<u64>,
    pub by: Option<String>,
}

/// The last events of this process, and a bell for followers.
#[derive(Debug)]
pub struct Events {
    edge: Edge,
    kept: Mutex<VecDeque<Event>>,
    last: watch::Sender<u64>,
}

impl Events {
    pub fn new(edge: Edge) -> Self {
        Self { edge, kept: Mutex::new(VecDeque::new()), last: watch::Sender::new(0) }
    }

    pub fn tell(&self, kind: EventKind, about: About) {
        let mut kept = lock(&self.kept);
        let id = *self.last.borrow() + 1;
        let event = self.event(id, kind, about);
        tracing::info!(
            event = %serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(),
            app = event.app.as_ref().map(tracing::field::display),
            instance = event.instance.as_ref().map(tracing::field::display),
            generation = event.generation,
            "{}",
            event.cause.as_deref().unwrap_or_default(),
        );
        if kept.len() == EVENTS_KEPT {
            kept.pop_front();
        }
        kept.push_back(event);
        // Still under the lock, so that ids are told in order.
        self.last.send_replace(id);
    }

    /// The events after `id`, at most `limit`. Where some of them are no longer kept, a `reset` comes first.
    pub fn after(&self, id: u64, limit: usize) -> Vec<Event> {
        let kept = lock(&self.kept);
        let last = *self.last.borrow();
        let first = kept.front().map_or(last + 1, |event| event.id);
        let mut events = Vec::new();
        // An id from the future is one of an earlier process.
        let missed = id + 1 < first || id > last;
        if missed {
            events.push(self.event(first - 1, EventKind::Reset, About::default()));
        }
        let from = if missed { 0 } else { usize::try_from(id + 1 - first).unwrap_or(usize::MAX) };
        events.extend(kept.iter().skip(from).take(limit).cloned());
        events
    }

    /// The id of the newest event.
    pub fn last_id(&self) -> u64 {
        *self.last.borrow()
    }

    /// Changes with every event.
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    fn event(&self, id: u64, event: EventKind, about: About) -> Event {
        let About { app, instance, host, code, cause, since, generation, by } = about;
        let edge = self.edge.name.clone();
        Event { id, at: Timestamp::now(), edge, event, app, instance, host, code, cause, since, generation, by }
    }
}

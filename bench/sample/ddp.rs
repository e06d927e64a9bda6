//! One client's DDP session: messages in, messages out, no socket.
//!
//! What it answers and when follows Meteor's `livedata_server.js`; the transports carry it.

mod heartbeat;
mod message;
mod method;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::app::{App, random_id};
use crate::todos::{List, Todo};
use heartbeat::{Beat, Heartbeat};
use message::{Connect, Failure, Method, Outgoing, Ping, Sub, Unsub};

/// Best first.
const VERSIONS: [&str; 3] = ["1", "pre2", "pre1"];

/// Subscriptions of one client; the page needs two.
const SUBSCRIPTIONS_LIMIT: usize = 100;

/// Bytes that one batch of a client's messages may have us answer.
const OUTBOX_LIMIT: usize = 8 * 1024 * 1024;

pub(crate) struct Session {
    app: Arc<App>,
    heartbeat: Heartbeat,
    connected: bool,
    over: bool,
    subscriptions: BTreeMap<String, Publication>,
    todos: Option<Watched>,
    outbox: Vec<String>,
    outbox_bytes: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Publication {
    Todos,
    Instance,
}

/// What the client knows of the todos, and where newer ones come from.
struct Watched {
    receiver: watch::Receiver<Arc<List>>,
    seen: Arc<List>,
}

impl Session {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self {
            app,
            heartbeat: Heartbeat::before_connect(Instant::now()),
            connected: false,
            over: false,
            subscriptions: BTreeMap::new(),
            todos: None,
            outbox: Vec::new(),
            outbox_bytes: 0,
        }
    }

    /// Takes one message of the client.
    pub(crate) fn receive(&mut self, text: &str) {
        if self.over {
            return;
        }
        self.heartbeat.heard();
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return self.complain("Parse error", None);
        };
        let Some(kind) = message.get("msg").and_then(Value::as_str) else {
            return self.complain("Bad request", Some(message));
        };
        match (kind, self.connected) {
            ("connect", false) => self.connect(message),
            (_, false) => self.complain("Must connect first", Some(message)),
            ("connect", true) => self.complain("Already connected", Some(message)),
            ("ping", true) => self.with(message, "Malformed ping", |session, Ping { id }| session.send(&Outgoing::Pong { id })),
            ("pong", true) => {}
            ("sub", true) => self.with(message, "Malformed subscription", Self::subscribe),
            ("unsub", true) => self.with(message, "Malformed unsubscription", Self::unsubscribe),
            ("method", true) => self.with(message, "Malformed method invocation", Self::call),
            ("disconnect", true) => self.over = true,
            (_, true) => self.complain("Bad request", Some(message)),
        }
    }

    /// Waits until there is something to say unasked: a changed list, a heartbeat, or the end.
    /// It may be cancelled at any time.
    pub(crate) async fn wake(&mut self) {
        tokio::select! {
            () = changed(self.todos.as_mut()) => self.publish_todos(),
            () = sleep_until(self.heartbeat.next()) => match self.heartbeat.beat(Instant::now()) {
                Beat::Quiet => {}
                Beat::Ping => self.send(&Outgoing::Ping),
                Beat::Dead => self.over = true,
            },
        }
    }

    /// What is to be sent, in this order.
    pub(crate) fn take_outbox(&mut self) -> Vec<String> {
        self.outbox_bytes = 0;
        std::mem::take(&mut self.outbox)
    }

    /// Whether the connection is to be closed once everything was sent.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    fn connect(&mut self, message: Value) {
        let wanted = serde_json::from_value::<Connect>(message).ok().filter(|it| it.support.contains(&it.version));
        let best = |it: &Connect| it.support.iter().find_map(|theirs| VERSIONS.into_iter().find(|ours| ours == theirs));
        match wanted.as_ref().map(|it| (best(it).unwrap_or(VERSIONS[0]), it.version.as_str())) {
            Some((version, tried)) if version == tried => {
                self.connected = true;
                self.heartbeat = Heartbeat::start(Instant::now());
                self.send(&Outgoing::Connected { session: random_id() });
            }
            refused => {
                self.send(&Outgoing::Failed { version: refused.map_or(VERSIONS[0], |(version, _)| version) });
                self.over = true;
            }
        }
    }

    fn subscribe(&mut self, Sub { id, name, params: _ }: Sub) {
        if self.subscriptions.contains_key(&id) {
            return; // a client that repeats itself; Meteor does not answer either
        }
        let publication = match name.as_str() {
            _ if self.subscriptions.len() >= SUBSCRIPTIONS_LIMIT => {
                let error = Failure::new(429, format!("more than {SUBSCRIPTIONS_LIMIT} subscriptions"));
                return self.send(&Outgoing::Nosub { id, error: Some(error) });
            }
            "todos" => Publication::Todos,
            "instance" => Publication::Instance,
            _ => {
                let error = Failure::new(404, format!("Subscription '{name}' not found"));
                return self.send(&Outgoing::Nosub { id, error: Some(error) });
            }
        };
        if !self.publishes(publication) {
            self.start(publication);
        }
        self.subscriptions.insert(id.clone(), publication);
        self.send(&Outgoing::Ready { subs: [id] });
    }

    fn unsubscribe(&mut self, Unsub { id }: Unsub) {
        if let Some(publication) = self.subscriptions.remove(&id)
            && !self.publishes(publication)
        {
            self.stop(publication);
        }
        self.send(&Outgoing::Nosub { id, error: None });
    }

    /// A document that two subscriptions want is sent once, so only the first starts a publication
    /// and only the last stops it.
    fn publishes(&self, publication: Publication) -> bool {
        self.subscriptions.values().any(|&other| other == publication)
    }

    fn start(&mut self, publication: Publication) {
        match publication {
            Publication::Todos => {
                self.todos = Some(Watched { receiver: self.app.todos.subscribe(), seen: Arc::default() });
                self.publish_todos();
            }
            Publication::Instance => {
                let fields = json!({ "instance": self.app.identity.instance, "release": self.app.identity.release });
                self.send(&Outgoing::Added { collection: "instance", id: "this", fields });
            }
        }
    }

    fn stop(&mut self, publication: Publication) {
        match publication {
            Publication::Todos => {
                for (id, _) in self.todos.take().iter().flat_map(|watched| watched.seen.iter()) {
                    self.send(&Outgoing::Removed { collection: "todos", id });
                }
            }
            Publication::Instance => self.send(&Outgoing::Removed { collection: "instance", id: "this" }),
        }
    }

    /// `result`, then what the method changed, then `updated`: a client counts a method as finished
    /// when it has both, and by then must see its effect.
    fn call(&mut self, Method { id, method, params, random_seed: _ }: Method) {
        let (result, error) = match method::run(&self.app, &method, params) {
            Ok(result) => (Some(result), None),
            Err(failure) => (None, Some(failure)),
        };
        self.send(&Outgoing::Result { id: &id, result, error });
        self.publish_todos();
        self.send(&Outgoing::Updated { methods: [&id] });
    }

    /// Sends the difference between what the client knows and what is.
    fn publish_todos(&mut self) {
        let Some(watched) = self.todos.as_mut() else { return };
        let now = Arc::clone(&watched.receiver.borrow_and_update());
        let before = std::mem::replace(&mut watched.seen, Arc::clone(&now));
        if Arc::ptr_eq(&before, &now) {
            return;
        }
        for (id, _) in before.iter().filter(|(id, _)| now.get(id).is_none()) {
            self.send(&Outgoing::Removed { collection: "todos", id });
        }
        for (id, todo) in now.iter() {
            match before.get(id) {
                Some(old) if old == todo => {}
                Some(old) => self.send(&Outgoing::Changed { collection: "todos", id, fields: changed_fields(old, todo) }),
                None => self.send(&Outgoing::Added { collection: "todos", id, fields: fields(todo) }),
            }
        }
    }

    fn with<T: DeserializeOwned>(&mut self, message: Value, otherwise: &'static str, act: impl FnOnce(&mut Self, T)) {
        match T::deserialize(&message) {
            Ok(parsed) => act(self, parsed),
            Err(_) => self.complain(otherwise, Some(message)),
        }
    }

    fn complain(&mut self, reason: &'static str, offending_message: Option<Value>) {
        self.send(&Outgoing::Error { reason, offending_message });
    }

    fn send(&mut self, message: &Outgoing<'_>) {
        // These types hold nothing that JSON cannot say, so there always is a text.
        let Ok(text) = serde_json::to_string(message) else { return };
        self.outbox_bytes += text.len();
        self.over |= self.outbox_bytes > OUTBOX_LIMIT;
        self.outbox.push(text);
    }
}

async fn changed(todos: Option<&mut Watched>) {
    match todos {
        Some(watched) => {
            if watched.receiver.changed().await.is_err() {
                std::future::pending().await // the process is ending
            }
        }
        None => std::future::pending().await,
    }
}

fn fields(todo: &Todo) -> Value {
    json!({ "text": todo.text, "done": todo.done, "at": { "$date": todo.at } })
}

/// Text and time never change.
fn changed_fields(old: &Todo, new: &Todo) -> Value {
    if old.done == new.done { fields(new) } else { json!({ "done": new.done }) }
}

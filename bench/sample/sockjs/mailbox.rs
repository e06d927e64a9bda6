//! A SockJS session over polling: what lies between the client's requests and the one task that outlives them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::frame::Frame;
use crate::app::App;
use crate::conversation::{Gone, Wire, converse};

/// How long a session waits for its client's next poll. Meteor raised it from 5 seconds.
const LIFE: Duration = Duration::from_secs(60);

/// Bytes that may wait for the next poll.
const WAITING_LIMIT: usize = 8 * 1024 * 1024;

/// Requests of one client that may wait to be read.
const INBOUND_LIMIT: usize = 16;

/// Sessions in one process.
const MAILBOXES_LIMIT: usize = 20_000;

/// The polling sessions of this process, by the client's id. That they live here and nowhere else is
/// why polling needs an edge that sticks.
#[derive(Default)]
pub(crate) struct Mailboxes(Mutex<HashMap<String, Arc<Mailbox>>>);

/// Why there is no receiver.
pub(super) enum Refused {
    /// Another request of this session is waiting already.
    Taken,
    TooMany,
}

impl Mailboxes {
    /// Starts to listen for the session's frames; the first to listen is who opens it.
    pub(super) fn listen(app: &Arc<App>, id: &str) -> Result<Receiver, Refused> {
        let mut mailboxes = app.mailboxes.lock();
        let room = mailboxes.len() < MAILBOXES_LIMIT;
        let mailbox = match mailboxes.entry(id.to_owned()) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(_) if !room => return Err(Refused::TooMany),
            Entry::Vacant(entry) => Arc::clone(entry.insert(Mailbox::open(app, id))),
        };
        mailbox.listen(app.heartbeat).ok_or(Refused::Taken)
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Mailbox>> {
        self.lock().get(id).map(Arc::clone)
    }

    fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Mailbox>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Mailbox {
    state: Mutex<State>,
    /// Told when there is a frame for the one who listens.
    news: Notify,
}

struct State {
    client: Client,
    /// To the task; nothing any more once the client has gone.
    inbound: Option<mpsc::Sender<Vec<String>>>,
    opened: bool,
    waiting: Vec<String>,
    waiting_bytes: usize,
    closed: bool,
}

#[derive(Clone, Copy)]
enum Client {
    Listens,
    Away { since: Instant },
    Gone,
}

impl Mailbox {
    fn open(app: &Arc<App>, id: &str) -> Arc<Self> {
        let (inbound, received) = mpsc::channel(INBOUND_LIMIT);
        let mailbox = Arc::new(Self {
            state: Mutex::new(State {
                client: Client::Away { since: Instant::now() },
                inbound: Some(inbound),
                opened: false,
                waiting: Vec::new(),
                waiting_bytes: 0,
                closed: false,
            }),
            news: Notify::new(),
        });
        tokio::spawn(live(Arc::clone(app), id.to_owned(), Polled { mailbox: Arc::clone(&mailbox), received }));
        mailbox
    }

    fn listen(self: &Arc<Self>, heartbeat: Duration) -> Option<Receiver> {
        let mut state = self.lock();
        if matches!(state.client, Client::Listens) {
            return None;
        }
        state.client = Client::Listens;
        Some(Receiver { mailbox: Arc::clone(self), heartbeat, answered: false })
    }

    /// Hands the client's messages to the task. What comes after the end is dropped, as in `sockjs-node`.
    pub(super) async fn deliver(&self, messages: Vec<String>) {
        let inbound = self.lock().inbound.clone();
        if let Some(inbound) = inbound {
            let _ = inbound.send(messages).await;
        }
    }

    /// The next frame, if there is one.
    fn take(&self) -> Option<Frame> {
        let mut state = self.lock();
        if !state.opened {
            state.opened = true;
            return Some(Frame::Open);
        }
        if !state.waiting.is_empty() {
            state.waiting_bytes = 0;
            return Some(Frame::Messages(std::mem::take(&mut state.waiting)));
        }
        state.closed.then_some(Frame::NORMAL_CLOSURE)
    }

    fn put(&self, messages: Vec<String>) -> Result<(), Gone> {
        let mut state = self.lock();
        state.waiting_bytes += messages.iter().map(String::len).sum::<usize>();
        if state.waiting_bytes > WAITING_LIMIT {
            return Err(Gone);
        }
        state.waiting.extend(messages);
        self.news.notify_one();
        Ok(())
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.inbound = None;
        self.news.notify_one();
    }

    /// When the session is over if nothing happens until then.
    fn expires(&self) -> Instant {
        match self.lock().client {
            Client::Listens => Instant::now() + LIFE,
            Client::Away { since } => since + LIFE,
            Client::Gone => Instant::now(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request that waits for frames. Dropped without [`Receiver::end`] it means that the client went
/// away, which ends the session at once: so does `sockjs-node`.
pub(super) struct Receiver {
    mailbox: Arc<Mailbox>,
    heartbeat: Duration,
    answered: bool,
}

impl Receiver {
    pub(super) async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.mailbox.take() {
                return frame;
            }
            if timeout(self.heartbeat, self.mailbox.news.notified()).await.is_err() {
                return Frame::Heartbeat;
            }
        }
    }

    /// The request is answered; the client is expected back.
    pub(super) fn end(&mut self) {
        self.answered = true;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.mailbox.lock();
        if self.answered {
            state.client = Client::Away { since: Instant::now() };
        } else {
            state.client = Client::Gone;
            state.inbound = None;
        }
    }
}

/// The session's task: the conversation, and then a while in which the client may learn of its end.
async fn live(app: Arc<App>, id: String, polled: Polled) {
    let mailbox = Arc::clone(&polled.mailbox);
    converse(Arc::clone(&app), polled).await;
    mailbox.close();
    loop {
        let expires = mailbox.expires();
        if expires <= Instant::now() {
            return app.mailboxes.remove(&id);
        }
        sleep_until(expires).await;
    }
}

/// The task's end of the mailbox.
struct Polled {
    mailbox: Arc<Mailbox>,
    received: mpsc::Receiver<Vec<String>>,
}

impl Wire for Polled {
    async fn receive(&mut self) -> Option<Vec<String>> {
        loop {
            let expires = self.mailbox.expires();
            tokio::select! {
                messages = self.received.recv() => return messages,
                () = sleep_until(expires) => if self.mailbox.expires() <= Instant::now() {
                    return None;
                },
            }
        }
    }

    async fn send(&mut self, messages: Vec<String>) -> Result<(), Gone> {
        self.mailbox.put(messages)
    }

    async fn close(&mut self) {
        self.mailbox.close();
    }
}

//! The streams of an HTTP/2 connection: how many there were, and the word that the edge wants no more of them.
//!
//! HTTP/1.1 says in an answer that it is the last; here a GOAWAY says it, and streams under way end well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::watch;

/// What an HTTP/2 connection and its streams share.
#[derive(Debug, Default)]
pub struct Streams {
    begun: AtomicUsize,
    ended: AtomicUsize,
    farewell: watch::Sender<bool>,
}

/// A stream under way, until this is dropped.
#[derive(Debug)]
pub struct OpenStream(Arc<Streams>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
    }
}

impl Streams {
    /// One more, of which a connection may have so many.
    pub fn open(self: &Arc<Self>, most: usize) -> OpenStream {
        if self.begun.fetch_add(1, Relaxed) + 1 >= most {
            self.say_farewell();
        }
        OpenStream(Arc::clone(self))
    }

    /// Tells the client to go; once.
    pub fn say_farewell(&self) {
        self.farewell.send_if_modified(|said| !std::mem::replace(said, true));
    }

    /// Changes once, when the client is told to go.
    pub fn farewell(&self) -> watch::Receiver<bool> {
        self.farewell.subscribe()
    }

    pub fn is_fresh(&self) -> bool {
        self.begun.load(Relaxed) == 0
    }

    /// How many began, if all of them have ended.
    pub fn all_ended(&self) -> Option<usize> {
        let ended = self.ended.load(Relaxed);
        (self.begun.load(Relaxed) == ended).then_some(ended)
    }
}

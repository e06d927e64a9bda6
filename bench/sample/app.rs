//! What every connection of this process shares.

use std::io;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::settings::{Prefix, Settings};
use crate::sockjs::mailbox::Mailboxes;
use crate::todos::Todos;

pub(crate) struct App {
    pub(crate) identity: Identity,
    pub(crate) todos: Todos,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) prefix: Prefix,
    pub(crate) heartbeat: Duration,
    pub(crate) page: Bytes,
    /// Connections accepted so far: a proxy that keeps its own makes few.
    pub(crate) connections: AtomicU64,
}

/// Which process answers: what the page shows, and what tests of stickiness compare.
#[derive(Serialize)]
pub(crate) struct Identity {
    pub(crate) instance: String,
    pub(crate) release: u64,
    pub(crate) pid: u32,
}

impl App {
    pub(crate) fn open(settings: &Settings) -> io::Result<Self> {
        Ok(Self {
            identity: Identity { instance: settings.instance.clone(), release: settings.release, pid: std::process::id() },
            todos: Todos::open(settings.data.as_deref())?,
            mailboxes: Mailboxes::default(),
            prefix: settings.prefix.clone(),
            heartbeat: settings.heartbeat,
            page: include_str!("page.html").replace("{{prefix}}", settings.prefix.as_str()).into(),
            connections: AtomicU64::new(0),
        })
    }
}

/// An identifier as Meteor's `Random.id()` makes them: 17 characters that nobody mistakes for one another.
pub(crate) fn random_id() -> String {
    const UNMISTAKABLE: &[u8; 55] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";
    (0..17).map(|_| char::from(UNMISTAKABLE[fastrand::usize(..UNMISTAKABLE.len())])).collect()
}

//! The operators' verbs: what they ask of the proxy and of the store, shown to people or as JSON.

use std::io::{self, Write as _};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::admin::Admin;
use crate::failure::Failure;
use crate::publish::{self, report::Report};
use crate::store::Directory;
use crate::store::dir::lock::Lock;

pub mod app;
pub mod apps;
pub mod edge;
pub mod effective;
pub mod events;
pub mod maintenance;
pub mod status;
pub mod table;

/// What every verb is asked with.
pub struct Asked {
    pub admin: Admin,
    pub store: Directory,
    pub json: bool,
}

/// What is known of the publisher of a store.
#[derive(Debug, Serialize)]
pub struct Publisher {
    /// The process, if one runs.
    pub pid: Option<u32>,
    /// What it said last.
    pub report: Option<Report>,
}

impl Asked {
    pub fn new(socket: PathBuf, store: PathBuf, json: bool) -> Self {
        Self { admin: Admin::new(socket), store: Directory::new(store), json }
    }

    pub fn publisher(&self) -> Publisher {
        let pid = Lock::holder(&self.store.own_path(publish::LOCK));
        Publisher { pid, report: Report::read(&self.store) }
    }
}

/// Prints to standard output. A reader that has had enough is no failure, and what others wrote
/// into the store never moves the cursor of who reads it.
pub fn print(text: &str) -> Result<(), Failure> {
    let text: String = text.chars().map(|c| if c.is_control() && !"\n\t".contains(c) { '\u{fffd}' } else { c }).collect();
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::system("standard output", &error)),
        _ => Ok(()),
    }
}

pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::data(error.to_string()))?;
    print(&format!("{text}\n"))
}

/// How long ago that was, in one unit.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.duration_since(then)))
}

pub fn span(duration: SignedDuration) -> String {
    match duration.as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

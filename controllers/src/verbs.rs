//! The operators' verbs: what they ask of the proxy and of the store, shown to people or as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use karman_contract::status::Status;
use serde::Serialize;

use crate::admin::{Admin, AdminError};
use crate::failure::{Exit, Failure};
use crate::publish;
use crate::publish::report::Report;
use crate::publish::target::{Label, Target};
use crate::store::{Place, Store};

pub mod app;
pub mod apps;
pub mod backup;
pub mod block;
pub mod change;
pub mod compare;
pub mod drain;
pub mod edge;
pub mod effective;
pub mod events;
pub mod forget;
pub mod lines;
pub mod maintenance;
pub mod preview;
pub mod status;
pub mod table;
pub mod top;
pub mod watch;
pub mod ways;

/// How long the way from the store to the edges may take before somebody should look.
const LIVE_WITHIN: Duration = Duration::from_secs(5);

/// What every verb is asked with.
pub struct Asked {
    pub admin: Admin,
    pub place: Place,
    pub json: bool,
}

/// What is known of the publishers of a store.
#[derive(Debug, Default, Serialize)]
pub struct Publishers {
    /// The process that publishes a directory, if one runs.
    pub holder: Option<String>,
    pub edges: BTreeMap<Label, Published>,
    /// Why nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One edge, as its publisher sees it.
#[derive(Debug, Serialize)]
pub struct Published {
    /// The process that publishes to it, if one runs.
    pub holder: Option<String>,
    /// What it said last.
    pub report: Report,
}

impl Asked {
    pub fn new(socket: PathBuf, place: Place, json: bool) -> Self {
        Self { admin: Admin::new(socket), place, json }
    }

    pub async fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        self.place.open().await
    }

    async fn status(&self) -> Result<Status, Failure> {
        self.heard(self.admin.status().await)
    }

    /// What the proxy answered, or why it did not, for people.
    fn heard<T>(&self, answer: Result<T, AdminError>) -> Result<T, Failure> {
        answer.map_err(|error| error.failure(self.admin.socket()))
    }

    /// What the publishers say; a proxy can be asked where no store is at hand.
    pub async fn publishers(&self) -> Publishers {
        match self.try_publishers().await {
            Ok(publishers) => publishers,
            Err(failure) => Publishers { problem: Some(failure.message), ..Publishers::default() },
        }
    }

    async fn try_publishers(&self) -> Result<Publishers, Failure> {
        let store = self.store().await?;
        let all = store.holder(publish::LEASE).await?;
        let mut edges = BTreeMap::new();
        for (label, report) in Report::read_all(store.as_ref()).await? {
            let own = store.holder(&label.lease()).await?;
            edges.insert(label, Published { holder: own.or_else(|| all.clone()), report });
        }
        Ok(Publishers { holder: all, edges, problem: None })
    }

    /// What is known of a change that stands in the store, and that nobody waited for.
    async fn written(&self) -> String {
        match self.publishers().await.is_running() {
            true => {
                format!("written to the store; where it is not live in {} s, 'karman status' says why\n", LIVE_WITHIN.as_secs())
            }
            false => "written to the store, but no publisher runs: start 'karman publish'\n".to_owned(),
        }
    }

    /// Why an edge does not do what was written, long after it should.
    async fn late(&self, edge: &str) -> Failure {
        match self.publishers().await.is_running() {
            true => Failure::new(
                Exit::NotNow,
                format!("written to the store, but the edge {edge} does not do it yet: 'karman status' says why"),
            ),
            false => Failure::new(Exit::Unavailable, "written to the store, but no publisher runs: start 'karman publish'"),
        }
    }

    /// The report on the edge that is asked: the one of its name, for other machines have a socket of that path
    /// too; where no name is known the one of this socket, else the only one.
    pub async fn report(&self) -> Option<Report> {
        let asked = self.admin.status().await.ok().map(|status| status.edge.name);
        let socket = Target::Socket(self.admin.socket().to_owned()).absolute().to_string();
        let mut reports: Vec<_> = self.publishers().await.edges.into_values().map(|edge| edge.report).collect();
        let is_it = |report: &Report| match (&asked, &report.edge) {
            (Some(asked), Some(edge)) => edge.name == *asked,
            _ => report.at_socket == socket,
        };
        match reports.iter().position(is_it) {
            Some(index) => Some(reports.swap_remove(index)),
            None => reports.pop().filter(|_| reports.is_empty() && asked.is_none()),
        }
    }
}

impl Publishers {
    pub fn is_running(&self) -> bool {
        self.holder.is_some() || self.edges.values().any(|edge| edge.holder.is_some())
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
    print(&json(value)?)
}

/// As people read it, and as verbs write it into the store.
fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::data(error.to_string()))?;
    Ok(text + "\n")
}

/// The word that stands for a value in JSON.
fn word(value: impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
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

//! What the publisher tells people and the other controllers, as files in the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use karman_contract::document::{DocumentName, Stamp};
use karman_contract::name::AppId;
use karman_contract::read::Reason;
use karman_contract::status::{Edge, Status};
use karman_contract::yaml::FileMistakes;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::exceptions::Exceptions;
use super::outcome::Trouble;
use crate::catalog::Catalog;
use crate::store::dir::write::write_json_soon;
use crate::store::{Directory, Key, Revision};

/// `status/publish.json`: observed, never desired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub at: Timestamp,
    pub socket: PathBuf,
    /// The edge that answers at the socket; none while nothing does.
    pub edge: Option<Edge>,
    pub store: Revision,
    /// Whether the edge has all that it should, but for what is named below.
    pub up_to_date: bool,
    /// Why nothing goes through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What is wrong in the store; each keeps its last good version.
    pub mistakes: Vec<Mistake>,
    /// What the proxy refused; it keeps what it has.
    pub refused: BTreeMap<AppId, Vec<Reason>>,
    /// Apps that are gone from the store, and that the proxy keeps until somebody says that this is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldRemoval>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    pub file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// With file, line and caret.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldRemoval {
    pub apps: Vec<AppId>,
    pub of: usize,
}

/// `edges/NAME.json`: that this edge is reached, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeReport {
    pub alive_until: Timestamp,
    pub region: String,
    pub version: String,
    pub contract: u32,
    pub confirmed: BTreeMap<DocumentName, Stamp>,
}

/// An edge that was not confirmed for this long is not known to be alive.
const ALIVE: SignedDuration = SignedDuration::from_secs(30);

impl Report {
    pub const NAME: &'static str = "status/publish.json";

    pub fn new(
        socket: &Path,
        proxy: Option<&Status>,
        store: Revision,
        trouble: Option<&Trouble>,
        catalog: &Catalog,
        exceptions: &Exceptions,
    ) -> Self {
        let mistakes = catalog.mistakes().iter().map(|(key, mistakes)| mistake(key, mistakes));
        let refused = exceptions.refused().iter().map(|(id, refused)| (id.clone(), refused.reasons.clone()));
        let held = exceptions.removal();
        Self {
            at: Timestamp::now(),
            socket: socket.to_owned(),
            edge: proxy.map(|status| status.edge.clone()),
            store,
            up_to_date: trouble.is_none(),
            problem: trouble.map(ToString::to_string),
            mistakes: mistakes.collect(),
            refused: refused.collect(),
            held: held.map(|removal| HeldRemoval { apps: removal.apps.iter().cloned().collect(), of: removal.of }),
        }
    }

    /// The last report of a publisher of this store, running or not.
    pub fn read(store: &Directory) -> Option<Self> {
        let text = std::fs::read_to_string(store.root().join(Self::NAME)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Whether both say the same, whenever they said it.
    fn same(&self, other: &Self) -> bool {
        Self { at: other.at, ..self.clone() } == *other
    }
}

impl EdgeReport {
    pub fn new(status: &Status, confirmed: BTreeMap<DocumentName, Stamp>) -> Self {
        Self {
            alive_until: Timestamp::now() + ALIVE,
            region: status.edge.region.clone(),
            version: status.version.clone(),
            contract: status.contract,
            confirmed,
        }
    }
}

/// Writes reports, and says what is new in them.
pub struct Reporter {
    store: Directory,
    last: Option<Report>,
}

impl Reporter {
    pub fn new(store: Directory) -> Self {
        Self { store, last: None }
    }

    /// Writes the report if it says anything new; whether it does.
    pub fn report(&mut self, report: Report) -> bool {
        if self.last.as_ref().is_some_and(|last| report.same(last)) {
            return false;
        }
        self.warn_of_news(&report);
        self.write(Report::NAME, &report);
        self.last = Some(report);
        true
    }

    pub fn report_edge(&self, edge: &str, report: &EdgeReport) {
        // The name comes from the proxy's settings; a file's name is made of what is harmless in it.
        let name: String = edge.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
        self.write(&format!("edges/{name}.json"), report);
    }

    fn write(&self, name: &str, report: &impl Serialize) {
        if let Err(error) = write_json_soon(&self.store.root().join(name), report) {
            warn!("{name} cannot be written: {error}");
        }
    }

    fn warn_of_news(&self, report: &Report) {
        let last = self.last.as_ref();
        for (id, reasons) in &report.refused {
            if last.is_none_or(|last| last.refused.get(id) != Some(reasons)) {
                let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
                warn!("the proxy refused {id} and keeps what it has: {}", reasons.join("; "));
            }
        }
        if let Some(HeldRemoval { apps, of }) = &report.held
            && last.is_none_or(|last| last.held != report.held)
        {
            warn!("{} of {of} apps are gone from the store; the proxy keeps them until 'karman publish --accept'", apps.len());
        }
    }
}

fn mistake(key: &Key, mistakes: &FileMistakes) -> Mistake {
    Mistake { file: mistakes.file.clone(), app: key.app(), text: mistakes.to_string() }
}

//! What the publisher tells people and the other controllers, as entries of the store.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use karman_contract::document::{DocumentName, Stamp};
use karman_contract::name::AppId;
use karman_contract::read::Reason;
use karman_contract::status::{Edge, Status};
use karman_contract::yaml::FileMistakes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::warn;

use super::certificates::Lost;
use super::exceptions::{Exceptions, Removal};
use super::left_out::Without;
use super::outcome::Trouble;
use super::wanted::Wanted;
use super::{edge, target::Label};
use crate::catalog::Catalog;
use crate::store::{Author, Expect, Key, Kind, Reading, Seen, Store, StoreError, Transaction};

/// `status/publish/LABEL`: observed, never desired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub at: Timestamp,
    /// Where the edge is reached; no path is relative, as readers stand elsewhere.
    pub at_socket: String,
    /// The edge that answers there; none while nothing does.
    pub edge: Option<Edge>,
    pub store: Stamp,
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
    /// Certificates that the store may have lost, and that the proxy keeps until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_certificates: Option<Lost>,
    /// Certificates and challenges that the proxy refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, Vec<Reason>>,
    /// Fields that the proxy does not know, and what is served without them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub without: BTreeMap<String, Without>,
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
    /// The store may have lost them; the next publisher goes on holding them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_loss: bool,
}

/// `edges/NAME`: that this edge is reached, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeReport {
    pub alive_until: Timestamp,
    pub region: String,
    pub version: String,
    pub contract: u32,
    pub confirmed: BTreeMap<DocumentName, Stamp>,
}

/// An edge that was not confirmed for this long is not known to be alive; under a stream of changes it is confirmed
/// every 50 s.
const ALIVE: SignedDuration = SignedDuration::from_secs(90);
/// How often a report is written that says only how far the store is: under a stream of changes that is new
/// with each of them.
const FURTHER_EVERY: Duration = Duration::from_secs(1);

impl Mistake {
    pub fn of_no_app(mistakes: &FileMistakes) -> Self {
        Self { file: mistakes.file.clone(), app: None, text: mistakes.to_string() }
    }
}

impl Report {
    pub fn new(target: String, wanted: &Wanted, edge: &edge::Edge, trouble: Option<&Trouble>) -> Self {
        let refused = edge.exceptions().refused().iter().map(|(id, refused)| (id.clone(), refused.reasons.clone()));
        let held = edge.exceptions().removal();
        Self {
            at: Timestamp::now(),
            at_socket: target,
            edge: edge.status().map(|status| status.edge.clone()),
            store: edge.stamp(),
            up_to_date: trouble.is_none(),
            problem: trouble.map(ToString::to_string),
            mistakes: wanted.mistakes.clone(),
            refused: refused.collect(),
            held: held.map(HeldRemoval::of),
            held_certificates: edge.certificates().lost().cloned(),
            rejected: edge.certificates().rejects().reasons(),
            without: edge.without(),
        }
    }

    /// The last report on each edge, whether its publisher runs or not.
    pub async fn read_all(store: &dyn Store) -> Result<BTreeMap<Label, Self>, StoreError> {
        let Reading { entries, .. } = store.read(&[Kind::Status]).await?;
        Ok(entries.iter().filter_map(|(key, seen)| Some((Label::of_report(key)?, Self::read(seen)?))).collect())
    }

    /// What another release wrote and this one cannot read is no report.
    fn read(seen: &Seen) -> Option<Self> {
        serde_json::from_str(&seen.text()?.text).ok()
    }

    /// What a publisher that starts now goes on holding.
    pub fn exceptions(&self) -> Exceptions {
        let mut exceptions = Exceptions::default();
        if let Some(held) = self.held.as_ref().filter(|held| held.after_loss) {
            exceptions.hold_after_loss(held.apps.iter().cloned().collect(), held.of);
        }
        exceptions
    }

    /// Whether something waits for an operator's word.
    pub fn is_held(&self) -> bool {
        self.held.is_some() || self.held_certificates.is_some() || self.problem.is_some()
    }

    /// Whether both say the same, whenever they said it.
    fn same(&self, other: &Self) -> bool {
        Self { at: other.at, ..self.clone() } == *other
    }

    /// Whether only the store went on since the other one, and nobody waits to hear how far.
    fn is_further(&self, other: &Self) -> bool {
        !self.is_held() && self.same(&Self { store: self.store, ..other.clone() })
    }
}

impl HeldRemoval {
    fn of(Removal { apps, of, after_loss }: &Removal) -> Self {
        Self { apps: apps.iter().cloned().collect(), of: *of, after_loss: *after_loss }
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

/// Writes the reports on one edge, and says what is new in them.
pub struct Reporter {
    label: Label,
    last: Option<Report>,
    /// The last one was not written yet: it says nothing that anybody waits for, or the store did not answer.
    unwritten: bool,
    tried_at: Option<Instant>,
}

impl Reporter {
    pub fn new(label: Label) -> Self {
        Self { label, last: None, unwritten: false, tried_at: None }
    }

    /// Writes the report if it says anything new and it is time for that; whether it is written.
    pub async fn report(&mut self, store: &dyn Store, report: Report) -> bool {
        let is_news = self.last.as_ref().is_none_or(|last| !report.same(last));
        if !is_news && !self.unwritten {
            return false;
        }
        let can_wait = self.last.as_ref().is_some_and(|last| report.is_further(last));
        let before = self.last.replace(report.clone());
        self.unwritten = true;
        if can_wait && self.due_at().is_some_and(|due| Instant::now() < due) {
            return false;
        }
        self.unwritten = write(store, self.label.report_key(), &report).await.is_err();
        self.tried_at = Some(Instant::now());
        // Who reads of it in the log finds it in the store.
        if is_news {
            warn_of_news(before.as_ref(), &report);
        }
        !self.unwritten
    }

    /// Whether the store has it that these apps are kept.
    pub fn has_written(&self, removal: &Removal) -> bool {
        let written = self.last.as_ref().filter(|_| !self.unwritten);
        written.is_some_and(|report| report.held.as_ref() == Some(&HeldRemoval::of(removal)))
    }

    /// When a report that was put off is to be written.
    pub fn due_at(&self) -> Option<Instant> {
        self.tried_at.filter(|_| self.unwritten).map(|tried| tried + FURTHER_EVERY)
    }

    pub async fn report_edge(&self, store: &dyn Store, edge: &str, report: &EdgeReport) {
        // The name comes from the proxy's settings; a key is made of what is harmless in it. That the
        // store does not answer is said by whoever follows it.
        let _ = write(store, Key::new(Kind::Edge, Label::from_name(edge).as_str()), report).await;
    }
}

fn warn_of_news(last: Option<&Report>, report: &Report) {
    let said = |reasons: &[Reason]| reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    for (id, reasons) in &report.refused {
        if last.is_none_or(|last| last.refused.get(id) != Some(reasons)) {
            warn!("the proxy keeps what it has of {id}: {}", said(reasons));
        }
    }
    for (what, reasons) in &report.rejected {
        if last.is_none_or(|last| last.rejected.get(what) != Some(reasons)) {
            warn!("the proxy refused {what} and does without it: {}", said(reasons));
        }
    }
    let edge = report.edge.as_ref().map_or("of before", |edge| edge.name.as_str());
    for (field, without) in &report.without {
        if last.is_none_or(|last| last.without.get(field) != Some(without)) {
            warn!("the edge {edge} does not know '{field}': {without}");
        }
    }
    if let Some(HeldRemoval { apps, of, .. }) = &report.held
        && last.is_none_or(|last| last.held != report.held)
    {
        warn!("{} of {of} apps are gone from the store; the proxy keeps them until 'karman publish --accept'", apps.len());
    }
    if let Some(Lost { certificates, of }) = &report.held_certificates
        && last.is_none_or(|last| last.held_certificates != report.held_certificates)
    {
        let gone = certificates.len();
        warn!("{gone} of {of} certificates are gone from the store; the proxy keeps them until 'karman publish --accept'");
    }
}

async fn write(store: &dyn Store, key: Key, value: &impl Serialize) -> Result<(), StoreError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| StoreError::Refused(error.to_string()))?;
    store.commit(&Transaction::new(Author::controller("publish")).put(key, Expect::Anything, text + "\n")).await
}

/// What is wrong in the store, for people.
pub fn mistakes_of(catalog: &Catalog) -> Vec<Mistake> {
    catalog.mistakes().iter().map(|(key, mistakes)| mistake(key, mistakes)).collect()
}

fn mistake(key: &Key, mistakes: &FileMistakes) -> Mistake {
    Mistake { file: mistakes.file.clone(), app: key.app(), text: mistakes.to_string() }
}

//! The loop beside one edge: what is wanted comes in, the edge is brought to it, and both are told of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use karman_contract::document::{DocumentName, Stamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::accept;
use super::edge::Edge;
use super::intake::at;
use super::lifeline::Lifeline;
use super::neighbours::Neighbours;
use super::outcome::{Change, Trouble};
use super::report::{EdgeReport, Report, Reporter};
use super::target::{Label, Target};
use super::wanted::Wanted;
use crate::store::Store;

const CONFIRM_EVERY: Duration = Duration::from_secs(10);
/// What was just sent and answered is confirmed by that; but not for longer than this.
const CONFIRM_AT_LATEST: Duration = Duration::from_secs(50);
/// How often a word of the operator is looked for while something waits for it.
const ACCEPT_EVERY: Duration = Duration::from_millis(500);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

pub struct Post {
    store: Arc<dyn Store>,
    label: Label,
    target: Target,
    edge: Edge,
    lifeline: Lifeline,
    reporter: Reporter,
    neighbours: Neighbours,
    /// Whether an operator stands behind what the proxy doubts.
    accept: bool,
    trouble: Option<Trouble>,
    retry_after: Duration,
    changed_at: Option<Instant>,
    asked_at: Option<Instant>,
    confirming: Option<Confirming>,
}

/// A question to the proxy whether it has these documents still. Whoever drops it asks no more.
struct Confirming {
    stamps: BTreeMap<DocumentName, Stamp>,
    answer: JoinHandle<Result<Vec<DocumentName>, Trouble>>,
}

impl Drop for Confirming {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Post {
    pub fn new(store: Arc<dyn Store>, target: Target, label: Label, edge: Edge, accept: bool) -> Self {
        Self {
            store,
            reporter: Reporter::new(label.clone()),
            label,
            target,
            edge,
            lifeline: Lifeline::default(),
            neighbours: Neighbours::default(),
            accept,
            trouble: None,
            retry_after: RETRY_MIN,
            changed_at: None,
            asked_at: None,
            confirming: None,
        }
    }

    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Keeps the edge at what is wanted, until nobody wants anything any more.
    pub async fn keep(mut self, mut wanted: watch::Receiver<Arc<Wanted>>) {
        let mut now = Arc::clone(&wanted.borrow_and_update());
        self.publish(&now).await;
        let mut confirm_at = Instant::now();
        loop {
            let retry_at = self.retry_at();
            let accept_at = self.waits_for_a_word().then(|| Instant::now() + ACCEPT_EVERY);
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    now = Arc::clone(&wanted.borrow_and_update());
                }
                () = self.lifeline.cut() => self.edge.lost(),
                () = at(accept_at) => {}
                () = sleep_until(confirm_at) => {
                    self.ask_to_confirm();
                    confirm_at = Instant::now() + CONFIRM_EVERY;
                }
                answer = answered(&mut self.confirming) => self.confirmed(answer).await,
                () = at(retry_at) => {}
                () = at(self.reporter.due_at()) => {}
            }
            if self.waits_for_a_word() {
                self.accept |= accept::given(self.store.as_ref(), &self.label, self.edge.stamp()).await;
            }
            self.publish(&now).await;
        }
    }

    /// Brings the edge to what is wanted, once.
    pub async fn publish(&mut self, wanted: &Wanted) {
        match self.try_publish(wanted).await {
            Ok(change) => {
                if self.trouble.take().is_some() {
                    info!("the proxy is reached again: {}", self.target);
                }
                self.retry_after = RETRY_MIN;
                if let Some(status) = self.edge.status() {
                    self.lifeline.hold(self.edge.admin(), status.started_at);
                }
                if let Some(change) = change {
                    self.changed_at = Some(Instant::now());
                    // It asks about what was live before, and takes long to ask.
                    self.confirming = None;
                    info!("generation {} is live: {change}", self.edge.stamp().generation);
                }
            }
            Err(trouble) => {
                if self.trouble.as_ref().is_none_or(|before| !before.is_like(&trouble)) {
                    warn!("{}: {trouble}; trying again, every {} s at the latest", self.target, RETRY_MAX.as_secs());
                }
                self.edge.lost();
                self.trouble = Some(trouble);
                self.retry_after = (self.retry_after * 2).min(RETRY_MAX);
            }
        }
        let report = self.new_report(wanted, self.trouble.as_ref());
        let is_news = self.reporter.report(self.store.as_ref(), report).await;
        if is_news && self.trouble.is_none() {
            self.report_edge().await;
        }
    }

    async fn try_publish(&mut self, wanted: &Wanted) -> Result<Option<Change>, Trouble> {
        let accept = std::mem::take(&mut self.accept);
        let synced = self.sync(wanted, accept).await;
        match &synced {
            // It was not heard.
            Err(Trouble::Gone(_)) => self.accept = accept,
            // A word is for what was held when it was given, not for what comes.
            _ if accept => drop(accept::done(self.store.as_ref(), &self.label).await),
            _ => {}
        }
        synced
    }

    async fn sync(&mut self, wanted: &Wanted, accept: bool) -> Result<Option<Change>, Trouble> {
        self.edge.look(wanted, accept).await?;
        self.write_down_what_is_kept(wanted).await?;
        self.edge.sync(wanted, accept).await
    }

    /// What the store may have lost is told only by the epoch of the apps that the proxy has. So it is written down before
    /// any others go out: this publisher may be killed right after that.
    async fn write_down_what_is_kept(&mut self, wanted: &Wanted) -> Result<(), Trouble> {
        let removal = self.edge.exceptions().removal().filter(|removal| removal.after_loss);
        if removal.is_none_or(|removal| self.reporter.has_written(removal)) {
            return Ok(());
        }
        let report = Report { up_to_date: false, ..self.new_report(wanted, None) };
        self.reporter.report(self.store.as_ref(), report).await;
        match self.edge.exceptions().removal() {
            Some(removal) if !self.reporter.has_written(removal) => {
                Err(Trouble::Problem("it cannot be written down what the proxy keeps of what the store lost".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn new_report(&self, wanted: &Wanted, trouble: Option<&Trouble>) -> Report {
        Report::new(self.target.clone().absolute().to_string(), wanted, &self.edge, trouble)
    }

    fn ask_to_confirm(&mut self) {
        let within = |at: Option<Instant>, span| at.is_some_and(|at| at.elapsed() < span);
        let is_early = within(self.changed_at, CONFIRM_EVERY) && within(self.asked_at, CONFIRM_AT_LATEST);
        if self.trouble.is_none() && !is_early && self.confirming.is_none() {
            self.asked_at = Some(Instant::now());
            let answer = tokio::spawn(self.edge.confirm());
            self.confirming = Some(Confirming { stamps: self.edge.stamps(), answer });
        }
    }

    async fn confirmed(&mut self, answer: Result<Vec<DocumentName>, Trouble>) {
        let asked = self.confirming.take().map(|mut confirming| std::mem::take(&mut confirming.stamps));
        match answer {
            Ok(differs) if differs.is_empty() => self.report_edge().await,
            // What it has now is newer than what it was asked about.
            Ok(_) if asked.is_some_and(|asked| asked != self.edge.stamps()) => {}
            Ok(differs) => {
                warn!("the proxy has something else than was sent: {differs:?}; repairing");
                self.edge.lost();
            }
            Err(_) => self.edge.lost(),
        }
    }

    /// Says that the edge is there, and hears from the others with how many it shares what an instance takes.
    async fn report_edge(&mut self) {
        let Some(status) = self.edge.status() else { return };
        let report = EdgeReport::new(status, self.edge.stamps());
        self.reporter.report_edge(self.store.as_ref(), &status.edge.name, &report).await;
        // Without the store the last number stands.
        let Ok(edges) = self.neighbours.look(self.store.as_ref()).await else { return };
        if let Err(trouble) = self.edge.share(edges).await {
            warn!("{}: it could not be told that {} edges serve the apps: {trouble}", self.target, edges.serving);
        }
    }

    /// Whether something is held until an operator accepts it.
    fn waits_for_a_word(&self) -> bool {
        self.edge.is_holding() || matches!(self.trouble, Some(Trouble::Problem(_)))
    }

    fn retry_at(&self) -> Option<Instant> {
        // Publishers of many edges shall not come back in step.
        let jittered = self.retry_after.mul_f64(0.5 + fastrand::f64() / 2.0);
        (self.trouble.is_some() || self.edge.status().is_none()).then(|| Instant::now() + jittered)
    }
}

/// Waits for the answer to a question that was asked.
async fn answered(confirming: &mut Option<Confirming>) -> Result<Vec<DocumentName>, Trouble> {
    let Some(confirming) = confirming else { return std::future::pending().await };
    let answer = (&mut confirming.answer).await;
    answer.unwrap_or_else(|error| Err(Trouble::Problem(format!("the documents cannot be confirmed: {error}"))))
}

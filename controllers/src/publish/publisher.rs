//! The publisher's loop: the store comes in, the edge is brought to it, and both are told of.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::edge::Edge;
use super::intake::{Intake, at};
use super::ledger::Ledger;
use super::lifeline::Lifeline;
use super::outcome::{Change, Trouble, counted};
use super::report::{EdgeReport, Report, Reporter};
use super::{Options, accept};
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::signals::Signals;
use crate::store::Directory;

const CONFIRM_EVERY: Duration = Duration::from_secs(10);
/// How often a word of the operator is looked for while something waits for it.
const ACCEPT_EVERY: Duration = Duration::from_millis(500);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

pub struct Publisher {
    intake: Intake,
    ledger: Ledger,
    edge: Edge,
    lifeline: Lifeline,
    reporter: Reporter,
    /// Whether an operator stands behind what the proxy doubts.
    accept: bool,
    /// The content in use has no generation of its own yet: nothing of it is sent before it has.
    unnumbered: bool,
    trouble: Option<Trouble>,
    retry_after: Duration,
}

impl Publisher {
    pub fn open(store: Directory, options: &Options) -> Result<Self, Failure> {
        let unreadable = |error| Failure::system(format!("the store {}", options.store.display()), &error);
        let ledger = Ledger::open(&store).map_err(unreadable)?;
        let (intake, changed) = Intake::open(store).map_err(unreadable)?;
        let catalog = intake.catalog();
        let (apps, mistakes) = (counted(catalog.apps().len(), "app"), counted(catalog.mistakes().len(), "file"));
        info!("the store has {apps}, and {mistakes} with mistakes");
        Ok(Self {
            reporter: Reporter::new(intake.store().clone()),
            intake,
            ledger,
            edge: Edge::new(Admin::new(&options.socket)),
            lifeline: Lifeline::default(),
            accept: options.accept,
            unnumbered: changed,
            trouble: None,
            retry_after: RETRY_MIN,
        })
    }

    pub async fn once(&mut self) -> Result<(), Failure> {
        self.publish().await;
        let exceptions = self.edge.exceptions();
        match &self.trouble {
            Some(Trouble::Gone(why)) => Err(Failure::nothing_answers(self.edge.admin().socket(), why)),
            Some(Trouble::Problem(why)) => Err(Failure::data(why)),
            None if exceptions.removal().is_some() => {
                Err(Failure::new(Exit::NotNow, "the proxy doubts that so many apps are to go: 'karman publish --accept'"))
            }
            None if !self.intake.catalog().mistakes().is_empty() || !exceptions.refused().is_empty() => {
                Err(Failure::data("the rest is live; what was named above goes on as it was"))
            }
            None => Ok(()),
        }
    }

    pub async fn forever(&mut self) -> Result<(), Failure> {
        let mut signals = Signals::new().map_err(|error| Failure::system("signals", &error))?;
        self.publish().await;
        let mut confirm_at = Instant::now();
        loop {
            let retry_at = self.retry_at();
            let accept_at = self.waits_for_a_word().then(|| Instant::now() + ACCEPT_EVERY);
            tokio::select! {
                () = signals.stop() => return Ok(()),
                changed = self.intake.next() => self.unnumbered |= changed,
                () = self.lifeline.cut() => self.edge.lost(),
                () = at(accept_at) => {}
                () = sleep_until(confirm_at) => {
                    self.confirm().await;
                    confirm_at = Instant::now() + CONFIRM_EVERY;
                }
                () = at(retry_at) => {}
            }
            if self.waits_for_a_word() {
                self.accept |= accept::given(self.intake.store(), self.ledger.revision());
            }
            self.publish().await;
        }
    }

    async fn publish(&mut self) {
        match self.try_publish().await {
            Ok(change) => {
                if self.trouble.take().is_some() {
                    info!("the proxy is reached again");
                }
                self.retry_after = RETRY_MIN;
                self.lifeline.hold(self.edge.admin());
                if let Some(change) = change {
                    info!("generation {} is live: {change}", self.ledger.revision().generation);
                }
            }
            Err(trouble) => {
                if self.trouble.as_ref().is_none_or(|before| !before.is_like(&trouble)) {
                    warn!("{trouble}; trying again, every {} s at the latest", RETRY_MAX.as_secs());
                }
                self.edge.lost();
                self.trouble = Some(trouble);
                self.retry_after = (self.retry_after * 2).min(RETRY_MAX);
            }
        }
        let is_news = self.reporter.report(self.told());
        if is_news && self.trouble.is_none() {
            self.report_edge();
        }
    }

    async fn try_publish(&mut self) -> Result<Option<Change>, Trouble> {
        if self.unnumbered {
            self.ledger.advance()?;
            self.unnumbered = false;
        }
        let accept = std::mem::take(&mut self.accept);
        let synced = self.edge.sync(self.intake.catalog(), &mut self.ledger, accept).await;
        match &synced {
            // It was not heard.
            Err(Trouble::Gone(_)) => self.accept = accept,
            // A word is for what was held when it was given, not for what comes.
            _ if accept => accept::done(self.intake.store()),
            _ => {}
        }
        synced
    }

    async fn confirm(&mut self) {
        if self.trouble.is_some() {
            return;
        }
        match self.edge.confirm().await {
            Ok(differs) if differs.is_empty() => self.report_edge(),
            Ok(differs) => warn!("the proxy has something else than was sent: {differs:?}; repairing"),
            Err(_) => self.edge.lost(),
        }
    }

    fn told(&self) -> Report {
        Report::new(
            self.edge.admin().socket(),
            self.edge.status(),
            self.ledger.revision(),
            self.trouble.as_ref(),
            self.intake.catalog(),
            self.edge.exceptions(),
        )
    }

    fn report_edge(&self) {
        if let Some(status) = self.edge.status() {
            self.reporter.report_edge(&status.edge.name, &EdgeReport::new(status, self.edge.stamps()));
        }
    }

    /// Whether something is held until an operator accepts it.
    fn waits_for_a_word(&self) -> bool {
        self.edge.exceptions().removal().is_some() || matches!(self.trouble, Some(Trouble::Problem(_)))
    }

    fn retry_at(&self) -> Option<Instant> {
        // Publishers of many edges shall not come back in step.
        let jittered = self.retry_after.mul_f64(0.5 + fastrand::f64() / 2.0);
        (self.trouble.is_some() || self.edge.status().is_none()).then(|| Instant::now() + jittered)
    }
}

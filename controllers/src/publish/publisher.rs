//! The publisher: the store comes in, and what follows from it is wanted of every edge.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::edge::Edge;
use super::intake::{Intake, Taken, at};
use super::ledger::Shared;
use super::outcome::{Trouble, counted};
use super::post::Post;
use super::report::Report;
use super::secrets::Secrets;
use super::ssh::Forward;
use super::target::Target;
use super::wanted::Wanted;
use super::{LEASE_AGAIN, LEASE_WAIT, Options, take};
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::signals::Signals;
use crate::store::{Lease, Leased, Store, StoreError};

/// How soon what is new is given a generation again, after the ledger could not be written.
const NUMBER_AGAIN: Duration = Duration::from_secs(2);

pub struct Publisher {
    store: Arc<dyn Store>,
    intake: Intake,
    secrets: Secrets,
    /// What was said of mistakes in them: what cannot be opened is tried anew with every change.
    told: Vec<String>,
    ledger: Shared,
    posts: Vec<Post>,
    forwards: Vec<Forward>,
}

impl Publisher {
    /// Reads the whole store; waits for one that does not answer, unless it is only asked `once`.
    pub async fn open(store: Arc<dyn Store>, options: &Options) -> Result<Self, Failure> {
        let mut intake = Intake::open(Arc::clone(&store)).await?;
        let taken = loop {
            match intake.next().await {
                Ok(taken) => break taken,
                Err(error @ StoreError::Unreachable(_)) if !options.once => warn!("{error}; trying again"),
                Err(error) => return Err(error.into()),
            }
        };
        intake.finish_a_few().await;
        let ledger = Shared::new(store.ledger().await?);
        if taken.content {
            ledger.advance(intake.revision()).await?;
        }
        let catalog = intake.catalog();
        let (apps, mistakes) = (counted(catalog.apps().len(), "app"), counted(catalog.mistakes().len(), "file"));
        info!("the store has {apps}, and {mistakes} with mistakes");
        let mut publisher = Self {
            store,
            intake,
            secrets: Secrets::new(options.key_file.clone()),
            told: Vec::new(),
            ledger,
            posts: Vec::new(),
            forwards: Vec::new(),
        };
        let mut reports = Report::read_all(publisher.store.as_ref()).await?;
        for target in &options.targets {
            publisher.add(target, options, reports.remove(&options.label(target)))?;
        }
        Ok(publisher)
    }

    /// `report`: what was last said of this edge.
    fn add(&mut self, target: &Target, options: &Options, report: Option<Report>) -> Result<(), Failure> {
        let socket = match target {
            Target::Socket(socket) => socket.clone(),
            Target::Ssh { .. } => {
                let forward = Forward::to(target).map_err(|error| Failure::system(target, &error))?;
                let socket = forward.socket();
                self.forwards.push(forward);
                socket
            }
        };
        let exceptions = report.map(|report| report.exceptions()).unwrap_or_default();
        let edge = Edge::new(Admin::new(socket), self.ledger.clone(), exceptions);
        let store = Arc::clone(&self.store);
        self.posts.push(Post::new(store, target.clone(), options.label(target), edge, options.accept));
        Ok(())
    }

    pub async fn once(mut self) -> Result<(), Failure> {
        let wanted = self.wanted().await;
        for forward in &self.forwards {
            forward.wait_until_up().await;
        }
        for post in &mut self.posts {
            post.publish(&wanted).await;
        }
        self.intake.finish().await;
        self.posts.iter().try_for_each(|post| self.outcome(post))
    }

    fn outcome(&self, post: &Post) -> Result<(), Failure> {
        let exceptions = post.edge().exceptions();
        match post.trouble() {
            Some(Trouble::Gone(why)) => Err(Failure::nothing_answers(post.edge().admin().socket(), why)),
            Some(Trouble::Problem(why)) => Err(Failure::data(why)),
            None if post.edge().is_holding() => {
                let message =
                    "the proxy keeps what is gone from the store, until 'karman publish --accept': 'karman status' says what";
                Err(Failure::new(Exit::NotNow, message))
            }
            None if !self.intake.catalog().mistakes().is_empty()
                || !exceptions.refused().is_empty()
                || !post.edge().certificates().rejects().reasons().is_empty() =>
            {
                Err(Failure::data("the rest is live; what was named above goes on as it was"))
            }
            None => Ok(()),
        }
    }

    /// Publishes until it is told to stop, or until somebody else has one of its leases.
    pub async fn forever(mut self, mut leases: Vec<Lease>, mut signals: Signals) -> Result<(), Failure> {
        let (tell, wanted) = watch::channel(Arc::new(self.wanted().await));
        let mut posts = JoinSet::new();
        for post in std::mem::take(&mut self.posts) {
            posts.spawn(post.keep(wanted.clone()));
        }
        let mut waiting = Taken::default();
        let mut again_at = None;
        loop {
            tokio::select! {
                () = signals.stop() => {
                    self.intake.finish().await;
                    return Ok(());
                }
                index = lost(&leases) => tokio::select! {
                    () = signals.stop() => return Ok(()),
                    renewed = renew(self.store.as_ref(), leases.swap_remove(index)) => leases.push(renewed?),
                },
                Some(ended) = posts.join_next() => {
                    let why = ended.err().map_or_else(String::new, |error| format!(": {error}"));
                    return Err(Failure::new(Exit::System, format!("an edge is not published to any more{why}")));
                }
                taken = self.intake.next() => match taken {
                    Ok(taken) => {
                        waiting.add(taken);
                        if taken.secrets {
                            self.secrets.changed();
                        }
                        again_at = self.pass_on(&mut waiting, &tell).await;
                    }
                    Err(error) => warn!("{error}; the edges go on as they are"),
                },
                () = at(again_at) => again_at = self.pass_on(&mut waiting, &tell).await,
            }
        }
    }

    /// Nothing of what is new is sent before it has a generation of its own. Where the ledger gives none,
    /// all of it goes on waiting: until when.
    async fn pass_on(&mut self, waiting: &mut Taken, tell: &watch::Sender<Arc<Wanted>>) -> Option<Instant> {
        self.intake.finish_a_few().await;
        if waiting.content
            && let Err(error) = self.ledger.advance(self.intake.revision()).await
        {
            warn!("what is new has no generation yet: {error}; trying again");
            return Some(Instant::now() + NUMBER_AGAIN);
        }
        let taken = std::mem::take(waiting);
        if taken.content || taken.mistakes {
            tell.send_replace(Arc::new(self.wanted().await));
        }
        None
    }

    async fn wanted(&mut self) -> Wanted {
        let secrets = self.secrets.open(self.intake.catalog());
        let mistakes: Vec<_> = secrets.mistakes.iter().map(ToString::to_string).collect();
        mistakes.iter().filter(|mistake| !self.told.contains(mistake)).for_each(|mistake| warn!("{mistake}"));
        self.told = mistakes;
        Wanted::new(self.intake.catalog(), secrets, self.ledger.stamp().await)
    }
}

/// Takes a lease again that ran out while the store did not answer, or with the store's data. What is
/// published meanwhile has its place in the order, whoever publishes it.
async fn renew(store: &dyn Store, lease: Lease) -> Result<Lease, Failure> {
    let name = lease.name.clone();
    drop(lease);
    loop {
        match take(store, &name, LEASE_WAIT).await {
            Ok(Leased::Ours(lease)) => return Ok(lease),
            Ok(Leased::Theirs(holder)) => {
                let holder = holder.unwrap_or_else(|| "another publisher".to_owned());
                return Err(Failure::new(Exit::NotNow, format!("the lease '{name}' ran out, and {holder} has it now")));
            }
            Err(StoreError::Unreachable(_)) => sleep(LEASE_AGAIN).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Which lease is lost first.
async fn lost(leases: &[Lease]) -> usize {
    let mut losses: Vec<_> = leases.iter().map(|lease| Box::pin(lease.lost())).collect();
    std::future::poll_fn(|context| {
        let lost = losses.iter_mut().position(|loss| loss.as_mut().poll(context).is_ready());
        lost.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    })
    .await
}

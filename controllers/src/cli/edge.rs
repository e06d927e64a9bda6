//! `karman edge`, as it is typed.

use clap::{Args, Subcommand};
use karman_contract::drain::{DrainOrder, DrainScope};

use super::Verb;
use crate::failure::Failure;
use crate::store::Author;
use crate::verbs;

#[derive(Subcommand)]
pub(super) enum Edge {
    /// Send clients elsewhere: load balancers and DNS first, then sockets at a pace. Nothing is refused
    Drain(Drain),
    /// Let clients come as before
    Resume(Resume),
    /// Show whether the edge is drained, and how far it is
    Status(Verb),
    /// Forget an edge that is gone for good: nobody waits for its answer any more
    Forget(Forget),
}

#[derive(Args)]
pub(super) struct Drain {
    /// All of this region, to which the edge has to belong: DNS is told too, by /healthz/region
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// How long a socket is left alone, until load balancers and DNS have moved on
    #[arg(long, value_name = "SECONDS", default_value_t = DrainOrder::AFTER_SECONDS)]
    after: u32,

    /// How many sockets are closed a second, then
    #[arg(long, value_name = "SOCKETS", default_value_t = DrainOrder::SOCKETS_PER_SECOND)]
    pace: u32,

    /// Why, in words that colleagues may read
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,

    #[command(flatten)]
    verb: Verb,
}

#[derive(Args)]
pub(super) struct Resume {
    /// The region that was drained
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    #[command(flatten)]
    verb: Verb,
}

#[derive(Args)]
pub(super) struct Forget {
    /// The edge's name, or where it was reached
    #[arg(value_name = "EDGE")]
    name: String,

    #[command(flatten)]
    verb: Verb,
}

impl Edge {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Drain(drain) => {
                let (order, region) = (drain.order(), drain.region);
                verbs::edge::drain(order, region.as_deref(), &drain.verb.ready()?).await
            }
            Self::Resume(Resume { region, verb }) => verbs::edge::resume(region.as_deref(), &verb.ready()?).await,
            Self::Status(verb) => verbs::edge::status(&verb.ready()?).await,
            Self::Forget(Forget { name, verb }) => verbs::forget::run(&name, &verb.ready()?).await,
        }
    }
}

impl Drain {
    fn order(&self) -> DrainOrder {
        DrainOrder {
            scope: if self.region.is_some() { DrainScope::Region } else { DrainScope::Edge },
            after_seconds: self.after,
            sockets_per_second: self.pace,
            by: Some(Author::person(None).by),
            why: self.why.clone(),
        }
    }
}

//! `karman dns`, as it is typed.

use clap::{Args, Subcommand, ValueEnum};

use super::Place;
use crate::dns::controller::Options;
use crate::dns::plan::Policy;
use crate::dns::run::{self, Asked};
use crate::failure::Failure;

#[derive(Subcommand)]
pub(super) enum Dns {
    /// Show what would change in the zone, and change nothing
    Plan(Terms),
    /// Make the zone's records what platform.yaml says
    Apply(Apply),
}

#[derive(Args)]
pub(super) struct Terms {
    #[command(flatten)]
    place: Place,

    /// What may be done to records of ours that are wanted no more
    #[arg(long, value_enum, default_value_t = Removal::UpsertOnly)]
    policy: Removal,

    /// Take over records that stand where ours should, if nobody marked them
    #[arg(long)]
    adopt: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Apply {
    #[command(flatten)]
    terms: Terms,

    /// Remove more names in one pass than a tenth of ours, or five
    #[arg(long)]
    force: bool,

    /// Go on, and keep the records so
    #[arg(long)]
    watch: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Removal {
    /// They stay
    UpsertOnly,
    /// They are removed, once two looks agree
    Sync,
}

impl Dns {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Plan(terms) => run::plan(&terms.place.store()?, &terms.ready(false)).await,
            Self::Apply(Apply { terms, force, watch: false }) => run::apply(&terms.place.store()?, &terms.ready(force)).await,
            Self::Apply(Apply { terms, force, watch: true }) => run::watch(&terms.place.store()?, &terms.ready(force)).await,
        }
    }
}

impl Terms {
    fn ready(&self, force: bool) -> Asked {
        let policy = match self.policy {
            Removal::UpsertOnly => Policy::UpsertOnly,
            Removal::Sync => Policy::Sync,
        };
        Asked { options: Options { policy, adopt: self.adopt, force }, json: self.json }
    }
}

//! `karman dns`, as it is typed.

use clap::{Args, Subcommand, ValueEnum};

use super::Place;
use crate::certificates::txt::{Provider, Txt};
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
    /// Present, wait for or remove one value of a dns-01 challenge: what 'certificates.dns.hook' may be
    Challenge(Challenge),
}

#[derive(Args)]
pub(super) struct Challenge {
    #[command(flatten)]
    place: Place,

    #[arg(value_enum)]
    step: Step,

    /// The name of the TXT record, such as _acme-challenge.apps.example.com
    name: String,

    /// The value that the CA looks for
    value: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Step {
    Present,
    Wait,
    Remove,
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
            Self::Challenge(Challenge { place, step, name, value }) => {
                let (challenges, txt) = (run::challenges(&place.store()?).await?, Txt { name, value });
                let provider: &dyn Provider = &challenges;
                match step {
                    Step::Present => provider.present(&txt).await,
                    Step::Wait => provider.wait(&txt).await,
                    Step::Remove => provider.clean_up(&txt).await,
                }
            }
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

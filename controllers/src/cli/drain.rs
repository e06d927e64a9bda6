//! `karman drain`, as it is typed.

use clap::Args;
use karman_contract::name::{AppId, InstanceId};

use super::Verb;
use crate::failure::Failure;
use crate::verbs::drain::{self, Order};

#[derive(Args)]
pub(super) struct Drain {
    /// The instance's id
    instance: InstanceId,

    /// Its app, where several apps have an instance of this name
    #[arg(long, value_name = "ID")]
    app: Option<AppId>,

    /// Wait until no edge holds a socket or a request of it
    #[arg(long, conflicts_with = "resume")]
    wait: bool,

    /// Let it take clients again
    #[arg(long)]
    resume: bool,

    /// Why, in words that colleagues may read
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,

    #[command(flatten)]
    verb: Verb,
}

impl Drain {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { instance, app, wait, resume, why, verb } = self;
        drain::run(Order { instance, app, resume, wait, why }, &verb.ready()?).await
    }
}

//! `karman top`, as it is typed.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use karman_contract::load::{Busiest, Load};

use super::Verb;
use crate::failure::Failure;
use crate::verbs::top::{self, Order};

#[derive(Args)]
pub(super) struct Top {
    /// What the busiest apps have most of
    #[arg(long, value_name = "WHAT", default_value = Busiest::default().as_str(),
        value_parser = PossibleValuesParser::new(Busiest::NAMES).try_map(|name| name.parse::<Busiest>()))]
    by: Busiest,

    /// How many apps are shown [default: as many as fit, or 20 where there is no terminal]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=Load::APPS_MAX as i64))]
    rows: Option<u32>,

    /// Look once, instead of until Ctrl-C, or five times where there is no terminal
    #[arg(long)]
    once: bool,

    #[command(flatten)]
    verb: Verb,
}

impl Top {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { by, rows, once, verb } = self;
        let rows = rows.map(|rows| rows as usize);
        top::run(Order { by, rows, once }, &verb.ready()?).await
    }
}

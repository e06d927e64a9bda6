//! Every scenario of the lab: one small file each, which names the question that it answers.

mod deltas;
mod drain;
mod flash;
mod http;
mod sockets;
mod tables;

use crate::lab::Scenario;

/// In the order in which the whole lab runs them.
pub(crate) const ALL: &[&Scenario] =
    &[&http::SCENARIO, &flash::SCENARIO, &sockets::SCENARIO, &tables::SCENARIO, &deltas::SCENARIO, &drain::SCENARIO];

pub(crate) fn of_name(name: &str) -> Option<&'static Scenario> {
    ALL.iter().copied().find(|scenario| scenario.name == name)
}

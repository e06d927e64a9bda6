//! Every scenario of the lab: one small file each, which names the question that it answers.

mod bodies;
mod changes;
mod crash;
mod deltas;
mod drain;
mod flash;
mod floods;
mod http;
mod http2;
mod neighbour;
mod outlast;
mod slow;
mod sockets;
mod tables;
mod tls;
mod upgrade;
mod visits;

use crate::lab::Scenario;

/// In the order in which the whole lab runs them.
pub(crate) const ALL: &[&Scenario] = &[
    &http::STEADY,
    &http::LOGGED,
    &http2::SCENARIO,
    &flash::SCENARIO,
    &floods::SCENARIO,
    &sockets::SCENARIO,
    &bodies::SCENARIO,
    &slow::SCENARIO,
    &neighbour::SCENARIO,
    &outlast::SCENARIO,
    &upgrade::SCENARIO,
    &visits::COLD,
    &visits::DEPLOY,
    &tables::SCENARIO,
    &changes::SCENARIO,
    &tls::CERTIFICATES,
    &tls::HANDSHAKES,
    &deltas::SCENARIO,
    &drain::SCENARIO,
    &crash::ONE_OF_THREE,
    &crash::THE_ONLY_ONE,
];

pub(crate) fn of_name(name: &str) -> Option<&'static Scenario> {
    ALL.iter().copied().find(|scenario| scenario.name == name)
}

//! The few rows and pictures of a whole run that the project's README shows.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::Results;
use super::table::number;
use crate::scenarios;

const BEGIN: &str = "<!-- from the lab: 'karman-bench headline' writes this -->";
const END: &str = "<!-- to here -->";

/// Whoever else is shown, in this order.
const CONTENDERS: [&str; 6] = ["karman", "haproxy", "nginx", "envoy", "caddy", "traefik"];

/// A scenario, a figure of it, and how a reader calls it.
const ROWS: [(&str, &str, &str); 11] = [
    ("http", "CPU a request", "an HTTP/1.1 request, CPU"),
    ("logged", "CPU a request", "the same with a line in an access log"),
    ("http2", "CPU a request", "an HTTP/2 request within TLS, CPU"),
    ("tls", "CPU of a full handshake with one request", "a TLS handshake with one request, CPU"),
    ("sockets", "memory of an idle socket", "an idle WebSocket, memory"),
    ("sockets", "CPU a round trip", "128 bytes there and back on one, CPU"),
    ("sockets", "a round trip, p99", "p99 of that, 32 sockets at once"),
    ("outlast", "closed by a neighbour's deploy", "of 1,000 sockets, closed by a neighbour's deploy"),
    ("outlast", "closed by the proxy's own upgrade", "closed by the proxy's own upgrade"),
    ("crash", "most new sockets within a second", "an instance dies under 2,000 Meteor clients: new sockets within a second"),
    ("restart", "without live data, p95", "the only instance is back: 95 % of 2,000 clients have live data after"),
];

/// A scenario, a picture of it, and what it shows.
const PICTURES: [(&str, &str, &str); 3] = [
    ("outlast", "sockets", "Open sockets over ten minutes of changes, put into 45 seconds"),
    (
        "crash",
        "storm",
        "One of three instances dies: new sockets a second at the survivors, which admit 200 each, and the share of clients with live data",
    ),
    ("sockets", "memory", "Memory against open sockets"),
];

/// `readme` with the rows and pictures of these results between its two marks; `None` when it has no marks.
///
/// `folder` is where the results are, as the README names it.
pub(crate) fn into_readme(readme: &str, results: &[Results], folder: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", block(results, folder)))
}

fn block(results: &[Results], folder: &str) -> String {
    let of = |name: &str| results.iter().find(|results| results.scenario == name);
    let mut text =
        format!("\n| [all rows]({folder}/README.md) | {} |\n|---|{}\n", CONTENDERS.join(" | "), "---|".repeat(CONTENDERS.len()));
    for (scenario, figure, name) in ROWS {
        let Some(results) = of(scenario) else { continue };
        let Some((_, unit)) = results.figures().into_iter().find(|(known, _)| *known == figure) else { continue };
        let cell = |contender: &&str| {
            let median = results.spread(contender, figure).map(|spread| number(spread.median));
            median.map_or_else(String::new, |median| format!("{median}{}", unit.symbol()))
        };
        let _ = writeln!(text, "| {name} | {} |", CONTENDERS.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    for (scenario, picture, shows) in PICTURES {
        if of(scenario).is_some_and(|results| is_drawn(results, picture)) {
            let _ = write!(text, "\n{shows}:\n\n![{shows}]({folder}/{scenario}-{picture}.svg)\n");
        }
    }
    text
}

/// Results of an earlier lab may lack the series of a picture.
fn is_drawn(results: &Results, picture: &str) -> bool {
    let plots = scenarios::of_name(&results.scenario).map_or(&[][..], |scenario| scenario.plots);
    let panels = plots.iter().filter(|plot| plot.file == picture).flat_map(|plot| plot.panels);
    let has = |series: &str| results.turns.iter().any(|turn| turn.reading.series(series).is_some());
    panels.into_iter().any(|panel| has(panel.series))
}

//! A publisher and a proxy that speak, and what they say: the same whenever it is recorded and replayed.

use serde_json::Value;

use crate::edge::Edge;

/// No address is in it that another run would not have.
pub(crate) const STORE: &[(&str, &str)] = &[
    (
        "apps/a.yaml",
        "owner: acme\nhosts: [a.test, '*.a.test']\ninstances:\n  a-1: {address: '10.0.0.1:3000', release: 7}\nhealth: {path: /up}\n\
         deny: [{net: 203.0.113.0/24, until: 2026-12-01T00:00:00Z, why: scraper}]\nnote: {by: ci, why: release 7}\n",
    ),
    ("apps/down.yaml", "hosts: [down.test]\nstate: maintenance\npages: {app-down: pages/down.html}\n"),
    ("pages/down.html", "<!doctype html>back at noon\n"),
];

/// An app is changed, another comes and goes.
pub(crate) fn change(edge: &mut Edge) {
    edge.publisher().wait_for("is live: the whole document, 2 apps");
    edge.write("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: 3\n");
    edge.publisher().wait_for("is live: 1 changed (a)");
    edge.write("apps/b.yaml", "hosts: [b.test]\n");
    edge.publisher().wait_for("is live: 1 changed (b)");
    edge.remove("apps/b.yaml");
    edge.publisher().wait_for("is live: 1 removed (b)");
}

/// What `make skew` recorded: a line for each exchange.
pub(crate) fn read(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

//! The proxy from outside: the real binary, real apps, real sockets on port 0.

#![allow(unreachable_pub, reason = "one binary, whose modules use each other")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "edge/dns_server.rs"]
mod dns_server;
#[path = "edge/herd.rs"]
mod herd;
#[path = "edge/rig.rs"]
mod rig;

/// A test CA, and clients that trust it.
#[path = "edge/authority.rs"]
mod authority;
/// Bad input over raw sockets, row by row of `proxy/BAD-INPUT.md`.
#[path = "edge/border.rs"]
mod border;
/// Certificates that come, change and are refused.
#[path = "edge/certificates.rs"]
mod certificates;
/// Documents that come in while traffic flows.
#[path = "edge/changes.rs"]
mod changes;
/// What must hold of any bytes: shared with the fuzz targets.
#[path = "../fuzz/checks.rs"]
mod checks;
/// The real clients: npm's, and a browser.
#[path = "edge/clients.rs"]
mod clients;
/// What fuzzers were given and have found.
#[path = "edge/corpora.rs"]
mod corpora;
/// Instances that die under their sockets.
#[path = "edge/crashes.rs"]
mod crashes;
/// The side doors: admin socket, probe listener, series.
#[path = "edge/doors.rs"]
mod doors;
/// Instances that are about to go.
#[path = "edge/drains.rs"]
mod drains;
/// Instances that die, hang, reset, refuse and come back.
#[path = "edge/failures.rs"]
mod failures;
/// New sockets, one or a herd of them.
#[path = "edge/gate.rs"]
mod gate;
/// What an app and a client get to see.
#[path = "edge/headers.rs"]
mod headers;
/// HTTP/2 that no library would send.
#[path = "edge/http2.rs"]
mod http2;
/// HTTPS and HTTP/2 as clients see them.
#[path = "edge/https.rs"]
mod https;
/// What hot functions cost, in instructions and allocations.
#[path = "edge/instructions.rs"]
mod instructions;
/// PROXY headers: who a client is, told by a balancer.
#[path = "edge/introductions.rs"]
mod introductions;
/// Edges and regions that are drained.
#[path = "edge/leaving.rs"]
mod leaving;
/// Limits of an app, of a client and of the process.
#[path = "edge/limits.rs"]
mod limits;
/// Memory that runs short.
#[path = "edge/pressure.rs"]
mod pressure;
/// The process: settings, start from disk, stop, upgrade.
#[path = "edge/process.rs"]
mod process;
/// Sockets: upgrades, refusals, idle ones, ends.
#[path = "edge/sockets.rs"]
mod sockets;
/// The same client at the same instance, with cookies and without.
#[path = "edge/stickiness.rs"]
mod stickiness;
/// Logs, metrics and events.
#[path = "edge/telling.rs"]
mod telling;
/// Tunnels between peers that are slow, rude or half gone.
#[path = "edge/tunnels.rs"]
mod tunnels;
/// Addresses that fail while nobody confirms the apps.
#[path = "edge/unconfirmed.rs"]
mod unconfirmed;
/// A second process that takes over.
#[path = "edge/upgrades.rs"]
mod upgrades;
/// Clients that wait, and those who leave meanwhile.
#[path = "edge/waiting.rs"]
mod waiting;

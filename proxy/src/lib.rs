//! The data plane, as a library: the binary reads its arguments and calls in here.
//!
//! `server` wires everything in start-up order; `proxy` is the life of a request, phase by phase.

pub mod access_log;
pub mod admin;
pub mod admission;
pub mod balance;
pub mod border;
pub mod caller;
pub mod clock;
pub mod connection;
pub mod documents;
pub mod drain;
pub mod edge;
pub mod events;
pub mod exchange;
pub mod failure;
pub mod framing;
pub mod handover;
pub mod head;
pub mod headers;
pub mod health;
pub mod http_server;
pub mod info;
pub mod leave;
pub mod listener;
pub mod live;
pub mod metrics;
pub mod order;
pub mod pace;
pub mod page_table;
pub mod pages;
pub mod pick;
pub mod probe;
pub mod proxy;
pub mod proxy_protocol;
pub mod routing;
pub mod saved_state;
pub mod server;
pub mod settings;
pub mod sticky;
pub mod table;
pub mod tunnel;
pub mod upstream;
pub mod vitals;

//! The controllers from outside: real binaries, real files, real sockets on port 0.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "controllers/acme.rs"]
mod acme;
#[path = "controllers/admin_socket.rs"]
mod admin_socket;
#[path = "controllers/curl.rs"]
mod curl;
#[path = "controllers/deploy.rs"]
mod deploy;
#[path = "controllers/dns.rs"]
mod dns;
#[path = "controllers/edge.rs"]
mod edge;
#[path = "controllers/editing.rs"]
mod editing;
#[path = "controllers/etcd.rs"]
mod etcd;
#[path = "controllers/examples.rs"]
mod examples;
#[path = "controllers/faults.rs"]
mod faults;
#[path = "controllers/keys.rs"]
mod keys;
#[path = "controllers/lone_admin.rs"]
mod lone_admin;
#[path = "controllers/moto.rs"]
mod moto;
#[path = "controllers/older.rs"]
mod older;
#[path = "controllers/operators.rs"]
mod operators;
#[path = "controllers/program.rs"]
mod program;
#[path = "controllers/publishing.rs"]
mod publishing;
#[path = "controllers/reaching.rs"]
mod reaching;
#[path = "controllers/recorded.rs"]
mod recorded;
#[path = "controllers/recording.rs"]
mod recording;
#[path = "controllers/rejected.rs"]
mod rejected;
#[path = "controllers/stores.rs"]
mod stores;
#[path = "controllers/top.rs"]
mod top;
#[path = "controllers/trying.rs"]
mod trying;
#[path = "controllers/unconfirmed.rs"]
mod unconfirmed;
#[path = "controllers/up.rs"]
mod up;
#[path = "controllers/verbs.rs"]
mod verbs;

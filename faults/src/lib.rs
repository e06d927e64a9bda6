//! Apps and networks that go wrong, for the tests of all packages: one app that does what a test says and notes what it
//! is sent, and one relay that delays, drips, cuts, resets and adds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod app;
mod message;
mod relay;
mod world;

pub use app::{OK, Scripted, Seen};
pub use message::read_message;
pub use relay::{Fault, Relay, Way};

//! The decisions of the controller, by the table.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod budgets;
mod choices;
mod needs;
mod orders;
mod pairs;
mod plans;
mod renewals;
mod sample;

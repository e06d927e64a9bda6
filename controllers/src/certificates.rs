//! The controller `certificates`: every host of every live app on HTTPS by itself.

pub mod accounts;
pub mod acme;
pub mod backoff;
pub mod budget;
pub mod choice;
pub mod controller;
pub mod entry;
pub mod import;
pub mod job;
pub mod local;
pub mod look;
pub mod made;
pub mod need;
pub mod order;
pub mod pair;
pub mod plan;
pub mod published;
pub mod renewal;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod trouble;
pub mod txt;
pub mod verbs;
pub mod view;
pub mod why;
pub mod work;

/// The controller's name: of its lease, and as the author of what it writes.
pub const NAME: &str = "certificates";

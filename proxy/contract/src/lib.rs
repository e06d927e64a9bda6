//! The contract: the documents, answers, events and names that Karman's programs exchange.
//!
//! Proxy, controllers and bench depend on this package and never on one another. It holds wire
//! types and the one way to read them; nothing here opens a socket or decides anything.
//! JSON on the admin socket and YAML in files carry the same fields.
//!
//! A document is *read*, never validated: [`read::read`] gives a value whose every part is well
//! formed, or every reason why there is none.

pub mod answer;
pub mod app;
pub mod code;
pub mod document;
pub mod drain;
pub mod edges;
pub mod event;
pub mod fields;
pub mod load;
pub mod name;
pub mod read;
pub mod status;
pub mod yaml;

/// The version of the contract that this package speaks, as `GET /v1/status` reports it.
///
/// It grows by one with every call that an older program would refuse. Fields are told one by one: [`fields`].
pub const CONTRACT: u32 = 1;

//! The changes of an entry, kept with who made them, when and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many changes of one entry are kept.
pub const CHANGES_MAX: usize = 50;

/// One change. Changes of an entry are numbered from 1, removals included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub number: u64,
    pub at: Timestamp,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What stood there from then on; `None` if the entry was removed.
    pub text: Option<String>,
}

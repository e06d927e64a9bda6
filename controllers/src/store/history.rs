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

/// The last changes of an entry, as far as they can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Oldest first.
    pub changes: Vec<Change>,
    /// What is kept and cannot be read: where it stands, and what is wrong with it.
    pub unreadable: Vec<String>,
}

impl History {
    /// Of what is kept, oldest first: each with where it stands.
    pub(super) fn read<'a>(kept: impl IntoIterator<Item = (String, &'a [u8])>) -> Self {
        let mut history = Self::default();
        for (place, line) in kept {
            match serde_json::from_slice(line) {
                Ok(change) => history.changes.push(change),
                Err(error) => history.unreadable.push(format!("{place} cannot be read: {error}")),
            }
        }
        history
    }
}

//! What became of a round of publishing, in words.

use std::fmt::{self, Display};

use crate::admin::AdminError;
use crate::store::StoreError;

/// Why a proxy is not as the store says.
#[derive(Debug)]
pub enum Trouble {
    /// Nobody is there; all is tried again.
    Gone(String),
    /// Somebody has to act.
    Problem(String),
}

/// What a round changed in the proxy.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub put: usize,
    pub removed: usize,
    pub whole: bool,
    /// The apps, if they are few enough to be named.
    pub named: Vec<String>,
}

impl Change {
    /// More apps than this are counted, not named.
    pub const NAMED_MAX: usize = 5;
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { put, removed, whole, named } = self;
        match (whole, put, removed) {
            (true, put, _) => write!(f, "the whole document, {}", counted(*put, "app"))?,
            (false, put, 0) => write!(f, "{put} changed")?,
            (false, 0, removed) => write!(f, "{removed} removed")?,
            (false, put, removed) => write!(f, "{put} changed, {removed} removed")?,
        }
        let more = put + removed > named.len();
        if named.is_empty() || more { Ok(()) } else { write!(f, " ({})", named.join(", ")) }
    }
}

impl Trouble {
    /// Whether it was said already. How exactly a proxy is gone changes from one try to the next.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gone(_), Self::Gone(_)) => true,
            (Self::Problem(one), Self::Problem(other)) => one == other,
            _ => false,
        }
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(why) => write!(f, "nothing answers at the proxy's socket ({why})"),
            Self::Problem(why) => f.write_str(why),
        }
    }
}

impl From<AdminError> for Trouble {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Gone(why) => Self::Gone(why),
            AdminError::Refused(refusal) => Self::Problem(format!("the proxy says: {refusal}")),
            AdminError::Strange(why) => Self::Problem(why),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Problem(format!("the store's revision cannot be written: {error}"))
    }
}

/// A number of things, as people say it.
pub fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

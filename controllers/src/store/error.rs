//! Why a store did not do what it was asked.

use std::fmt::{self, Display};
use std::io;

use super::Key;
use crate::failure::{Exit, Failure};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// Somebody changed this entry meanwhile: look again and decide again.
    Changed(Key),
    /// The lease of this name is somebody else's by now, or nobody's.
    LeaseLost(String),
    /// The store does not answer. It may have done what it was asked.
    Unreachable(String),
    /// The store said no, or holds what cannot be used: trying again does not help.
    Refused(String),
}

impl StoreError {
    pub fn io(what: impl Display, error: &io::Error) -> Self {
        Self::Refused(format!("{what}: {error}"))
    }
}

impl Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(key) => write!(f, "{key} was changed by somebody else meanwhile"),
            Self::LeaseLost(name) => write!(f, "the lease '{name}' was lost"),
            Self::Unreachable(why) => write!(f, "the store does not answer: {why}"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::Changed(_) | StoreError::LeaseLost(_) => Exit::NotNow,
            StoreError::Unreachable(_) => Exit::Unavailable,
            StoreError::Refused(_) => Exit::System,
        };
        Self::new(exit, error.to_string())
    }
}

//! What the admin socket answers to a change.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use crate::document::Stamp;
use crate::read::Reason;

/// A change that is live, or that was live already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    pub outcome: Outcome,
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Whether the document is on disk too; if not, the proxy serves it and its log says why it was not saved.
    pub saved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Applied,
    Current,
}

/// A change that changed nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "kebab-case")]
pub enum Refusal {
    /// The document is older than what the proxy has, or differs from it under the same stamp.
    Stale {
        current: Stamp,
        attempted: Stamp,
    },
    /// A delta names another base than the proxy has, or another epoch.
    BaseMismatch {
        current: Stamp,
    },
    Refused {
        reasons: Vec<Reason>,
    },
    /// The change removes more than half of what stands there; `"force":true` insists.
    MassRemoval {
        removes: usize,
        of: usize,
    },
    TooLarge {
        bytes_max: u64,
    },
    Malformed {
        line: usize,
        column: usize,
        why: String,
    },
    NotFound {
        what: String,
    },
    MethodNotAllowed {
        allowed: Vec<String>,
    },
}

impl Refusal {
    pub fn status(&self) -> u16 {
        match self {
            Self::Stale { .. } => 409,
            Self::BaseMismatch { .. } => 412,
            Self::Refused { .. } => 422,
            Self::MassRemoval { .. } => 428,
            Self::TooLarge { .. } => 413,
            Self::Malformed { .. } => 400,
            Self::NotFound { .. } => 404,
            Self::MethodNotAllowed { .. } => 405,
        }
    }

    /// The stable name, as `error` in the body and as a metric label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stale { .. } => "stale",
            Self::BaseMismatch { .. } => "base-mismatch",
            Self::Refused { .. } => "refused",
            Self::MassRemoval { .. } => "mass-removal",
            Self::TooLarge { .. } => "too-large",
            Self::Malformed { .. } => "malformed",
            Self::NotFound { .. } => "not-found",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { current, attempted } if current == attempted => {
                write!(f, "the proxy already has {current}, with other content")
            }
            Self::Stale { current, attempted } => write!(f, "{attempted} is older than the proxy's {current}"),
            Self::BaseMismatch { current } => write!(f, "the proxy is at {current}, which is not this delta's base"),
            Self::Refused { reasons } => {
                let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
                write!(f, "refused: {}", reasons.join("; "))
            }
            Self::MassRemoval { removes, of } => write!(f, "it would remove {removes} of {of}; 'force' insists"),
            Self::TooLarge { bytes_max } => write!(f, "the body is larger than {bytes_max} bytes"),
            Self::Malformed { line, column, why } => write!(f, "not JSON at line {line} column {column}: {why}"),
            Self::NotFound { what } => write!(f, "there is no {what}"),
            Self::MethodNotAllowed { allowed } => write!(f, "allowed here: {}", allowed.join(", ")),
        }
    }
}

impl std::error::Error for Refusal {}

//! What is asked of whoever serves the zones, one call at a time.

use std::fmt::{self, Debug, Display};

use async_trait::async_trait;

use super::health::{Check, Existing};
use super::plan::Change;
use super::record::{Name, Record};
use crate::failure::{Exit, Failure};

/// Route 53, or something that is as strict.
#[async_trait]
pub trait Service: Debug + Send + Sync {
    /// The name of a zone.
    async fn zone_name(&self, zone: &str) -> Result<Name, Refusal>;

    /// One page of a zone's records, in the service's own order.
    async fn records(&self, zone: &str, after: Option<Cursor>) -> Result<Page<Record, Cursor>, Refusal>;

    /// Makes all of the changes or none of them.
    async fn change(&self, zone: &str, changes: &[Change]) -> Result<ChangeId, Refusal>;

    /// Whether all of the service's servers answer with a change.
    async fn is_everywhere(&self, change: &ChangeId) -> Result<bool, Refusal>;

    /// One page of the account's health checks.
    async fn health_checks(&self, after: Option<String>) -> Result<Page<Existing, String>, Refusal>;

    /// The id of the new check. The same check asked for twice is one.
    async fn create_health_check(&self, check: &Check, reference: &str) -> Result<Box<str>, Refusal>;

    async fn delete_health_check(&self, id: &str) -> Result<(), Refusal>;
}

/// Where the next page of records begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub name: String,
    pub kind: Option<String>,
    pub id: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Page<T, C> {
    pub items: Vec<T>,
    /// Absent on the last page.
    pub next: Option<C>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeId(pub String);

/// Why a call did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many calls or changes lately, by this account as a whole.
    Throttled,
    /// The zone's last batch is still being worked on.
    Busy,
    /// Something in the batch is wrong, so that nothing of it was done.
    Invalid(String),
    /// There is no such zone, change or check.
    NotFound(String),
    /// No answer, or none that says what became of the call.
    Unreachable(String),
    /// Not allowed, or not understood.
    Denied(String),
}

impl Refusal {
    /// Whether the same call may be answered differently a moment later.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Throttled | Self::Busy | Self::Unreachable(_))
    }

    /// For a person: what was asked for, and what came of it.
    pub fn failure(&self, what: impl Display) -> Failure {
        let exit = match self {
            Self::Unreachable(_) => Exit::Unavailable,
            Self::Throttled | Self::Busy => Exit::NotNow,
            Self::Invalid(_) | Self::NotFound(_) | Self::Denied(_) => Exit::Data,
        };
        Failure::new(exit, format!("{what}: {self}"))
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throttled => f.write_str("throttled: this account made too many calls"),
            Self::Busy => f.write_str("the zone's last change is still being worked on"),
            Self::Invalid(why) | Self::NotFound(why) | Self::Denied(why) => f.write_str(why),
            Self::Unreachable(why) => write!(f, "no answer: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}

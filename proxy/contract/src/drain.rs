//! Moving an edge's clients elsewhere: `PUT /v1/drain` orders it, `DELETE /v1/drain` takes it back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::read::{At, Read, Reason};

/// What an operator orders. Load balancers and DNS hear of it at once; who is connected stays for as
/// long as they need to move on, and leaves then, at a pace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainOrder {
    pub scope: DrainScope,
    /// How long a socket is left alone: from the order on, or from when it was opened, if that was later.
    pub after_seconds: u32,
    /// How many sockets are closed a second, then: to Meteor that is the rate at which their clients are
    /// back, at another edge.
    pub sockets_per_second: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What is drained, which decides who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrainScope {
    /// This edge: `/readyz` says so, and its load balancer sends clients to its neighbours.
    Edge,
    /// All edges of its region: `/healthz/region` says so too, and DNS sends clients to other regions.
    Region,
}

/// An order that stands, as `GET /v1/status` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    #[serde(flatten)]
    pub order: DrainOrder,
    pub since: Timestamp,
}

impl DrainOrder {
    /// Ten seconds between health checks, three of which have to fail, and a minute for which an
    /// answer of DNS is remembered.
    pub const AFTER_SECONDS: u32 = 90;
    pub const AFTER_SECONDS_MAX: u32 = 3_600;
    pub const SOCKETS_PER_SECOND: u32 = 200;
    pub const SOCKETS_PER_SECOND_MAX: u32 = 100_000;
    /// Of `by` and `why`.
    pub const WORDS_BYTES_MAX: usize = 1_000;
}

impl Read for DrainOrder {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let scope = fields.or(reasons, "scope", DrainScope::Edge);
        let after_seconds = fields.integer(reasons, "after_seconds", Self::AFTER_SECONDS, 0, Self::AFTER_SECONDS_MAX);
        let sockets_per_second =
            fields.integer(reasons, "sockets_per_second", Self::SOCKETS_PER_SECOND, 1, Self::SOCKETS_PER_SECOND_MAX);
        let by = fields.optional::<Words>(reasons, "by");
        let why = fields.optional::<Words>(reasons, "why");
        fields.finish(reasons);
        Some(Self {
            scope: scope?,
            after_seconds: after_seconds?,
            sockets_per_second: sockets_per_second?,
            by: by?.map(|words| words.0),
            why: why?.map(|words| words.0),
        })
    }
}

impl Read for DrainScope {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.word(reasons, &[("edge", Self::Edge), ("region", Self::Region)])
    }
}

struct Words(String);

impl Read for Words {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let words = at.string(reasons, "a text")?;
        if words.len() > DrainOrder::WORDS_BYTES_MAX {
            at.refuse(reasons, format!("found {} bytes, wanted at most {}", words.len(), DrainOrder::WORDS_BYTES_MAX));
            return None;
        }
        Some(Self(words.to_owned()))
    }
}

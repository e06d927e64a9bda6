//! Writing TXT records for dns-01 (RFC 8555 section 8.4), whoever serves the zone.

use async_trait::async_trait;
use karman_contract::name::Host;

use crate::failure::Failure;

pub mod hook;

/// One TXT value under one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Txt {
    pub name: String,
    pub value: String,
}

impl Txt {
    /// Where a CA looks for the proof that a domain, or the names below it, are ours.
    pub fn challenge(domain: &Host, value: String) -> Self {
        Self { name: format!("_acme-challenge.{domain}"), value }
    }
}

/// Who serves a zone. A name may have several values at once: a domain and its wildcard are proven
/// under the same name, so a provider adds and removes values and never a whole name.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Adds a value; one that is there already is no error, since a crash may have come after it.
    async fn present(&self, txt: &Txt) -> Result<(), Failure>;

    /// Waits until the zone's own servers answer with it.
    async fn wait(&self, txt: &Txt) -> Result<(), Failure>;

    /// Removes a value; one that is gone already is no error.
    async fn clean_up(&self, txt: &Txt) -> Result<(), Failure>;
}

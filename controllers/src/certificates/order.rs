//! How an order stands in the store: `orders/ID`, written before and after every step that a CA sees.
//!
//! Where an order stands is the CA's to say; what is kept here is what would be lost otherwise: the
//! key, the address of the order, what was shown where, and how often it failed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use karman_contract::document::{ChallengeCertificate, Secret};
use karman_contract::name::{Host, HostPattern};
use karman_contract::read::{At, Read, Reason};
use serde::Serialize;

use super::backoff;
use super::entry::{CertificateFile, time};
use super::trouble::{Remedy, Trouble};
use super::txt::Txt;
use crate::sealing::{CannotOpen, Sealed, Sealing};

/// Where the secrets of an order belong, for [`Sealing`].
pub fn place_of_key(id: &str) -> String {
    format!("orders/{id}")
}

/// One need that is being met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Order {
    pub names: Vec<HostPattern>,
    pub since: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// Nothing is done before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// What went wrong last, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The certificate's successor is not ordered as its renewal: the CA did not take it as that.
    pub drop_replaces: bool,
    /// A person wants it, even if the certificate that is there is good.
    pub asked_for: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// One order at one CA.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    pub ca: String,
    pub at: Timestamp,
    /// The private key that the certificate will have. It stays the same whatever happens between,
    /// so that a certificate which came while nobody looked is of use.
    pub key: Sealed,
    /// The certificate that is renewed, as ACME names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Where the CA has the order; none: it was not asked yet, or its answer was never seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What was prepared for the CA to look at; none: nothing yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
}

/// What a CA finds when it looks, beside what edges answer by themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shown {
    /// By the host that the CA will ask for.
    pub alpn: BTreeMap<Host, AlpnChallenge>,
    pub txt: Vec<ShownTxt>,
}

/// The certificate that answers a tls-alpn-01 challenge (RFC 8737).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlpnChallenge {
    pub chain: String,
    pub key: Sealed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownTxt {
    pub name: String,
    pub value: String,
}

impl From<&ShownTxt> for Txt {
    fn from(shown: &ShownTxt) -> Self {
        Self { name: shown.name.clone(), value: shown.value.clone() }
    }
}

impl Order {
    pub fn new(names: Vec<HostPattern>, now: Timestamp) -> Self {
        let (not_before, trouble, attempt) = (None, None, None);
        Self { names, since: now, failures: 0, not_before, trouble, drop_replaces: false, asked_for: false, attempt }
    }

    /// Notes what went wrong, and when to go on.
    pub fn fail(&mut self, trouble: &Trouble, now: Timestamp, chance: f64) {
        self.trouble = Some(trouble.what.clone());
        match trouble.remedy {
            Remedy::DropReplaces if !self.drop_replaces => {
                // Once, and at once: nothing is wrong with the name as far as anybody knows.
                self.drop_replaces = true;
                self.attempt = None;
                self.not_before = trouble.wait.map(|wait| now + wait);
                return;
            }
            Remedy::Repeat | Remedy::GoOn => {}
            Remedy::StartAgain | Remedy::NewAccount | Remedy::DropReplaces => self.attempt = None,
        }
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(backoff::retry_at(self.failures, trouble.is_elsewhere(), trouble.wait, now, chance));
    }

    /// A person says that it should be tried again now.
    pub fn try_now(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// Whether this certificate came from this order: all that was left to do is to take the order out.
    pub fn is_met_by(&self, file: &CertificateFile) -> bool {
        let own = self.attempt.as_ref().and_then(|attempt| attempt.url.as_ref());
        own.is_some() && own == file.order.as_ref().map(|order| &order.url)
    }

    /// Whether this CA has the order.
    pub fn is_made_at(&self, ca: &str) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.ca == ca && attempt.url.is_some())
    }

    pub fn waits(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_before.filter(|until| *until > now)
    }

    /// Whether nobody will see this end by itself soon.
    pub fn is_failing(&self) -> bool {
        self.failures >= backoff::FAILING
    }

    /// What edges have to show while this order is under way.
    pub fn alpn(&self) -> impl Iterator<Item = (&Host, &AlpnChallenge)> {
        self.attempt.iter().filter_map(|attempt| attempt.shown.as_ref()).flat_map(|shown| &shown.alpn)
    }
}

impl Attempt {
    /// Whether it counts for the CA's limits: it has it, and not as a renewal.
    pub fn costs(&self) -> bool {
        self.url.is_some() && self.replaces.is_none()
    }
}

impl AlpnChallenge {
    /// As it is published to the proxies. `id` is that of its order.
    pub fn open(&self, id: &str, sealing: &Sealing) -> Result<ChallengeCertificate, CannotOpen> {
        let key = sealing.reveal_text(&place_of_key(id), &self.key)?;
        Ok(ChallengeCertificate { chain: self.chain.clone(), key: Secret(key) })
    }
}

impl Read for Order {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let names = fields.required(reasons, "names");
        let since = time(&mut fields, reasons, "since");
        let failures = fields.integer(reasons, "failures", 0, 0, u32::MAX);
        let not_before = time(&mut fields, reasons, "not_before");
        let trouble = fields.optional(reasons, "trouble");
        let drop_replaces = fields.or(reasons, "drop_replaces", false);
        let asked_for = fields.or(reasons, "asked_for", false);
        let attempt = fields.optional(reasons, "attempt");
        fields.finish(reasons);
        Some(Self {
            names: names?,
            since: since?.unwrap_or(Timestamp::UNIX_EPOCH),
            failures: failures?,
            not_before: not_before?,
            trouble: trouble?,
            drop_replaces: drop_replaces?,
            asked_for: asked_for?,
            attempt: attempt?,
        })
    }
}

impl Read for Attempt {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let ca = fields.required(reasons, "ca");
        let began = time(&mut fields, reasons, "at");
        let key = fields.required(reasons, "key");
        let replaces = fields.optional(reasons, "replaces");
        let url = fields.optional(reasons, "url");
        let shown = fields.optional(reasons, "shown");
        fields.finish(reasons);
        Some(Self {
            ca: ca?,
            at: began?.unwrap_or(Timestamp::UNIX_EPOCH),
            key: key?,
            replaces: replaces?,
            url: url?,
            shown: shown?,
        })
    }
}

impl Read for Shown {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let alpn = fields.field("alpn").map_or_else(|| Some(BTreeMap::new()), |at| at.map(reasons));
        let txt = fields.or(reasons, "txt", Vec::new());
        fields.finish(reasons);
        Some(Self { alpn: alpn?, txt: txt? })
    }
}

impl Read for AlpnChallenge {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let chain = fields.required(reasons, "chain");
        let key = fields.required(reasons, "key");
        fields.finish(reasons);
        Some(Self { chain: chain?, key: key? })
    }
}

impl Read for ShownTxt {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let name = fields.required(reasons, "name");
        let value = fields.required(reasons, "value");
        fields.finish(reasons);
        Some(Self { name: name?, value: value? })
    }
}

//! The certificate document: chains and keys by id, and what any edge answers a CA with.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Beside, DocumentName, Item};
use crate::name::{CertificateId, Host, HostPattern, Thumbprint};
use crate::read::{At, Fields, Read, Reason, Value};

/// A chain, leaf first, with its key, for the names it is served for. Both are PEM, the key in
/// PKCS #8, SEC 1 or PKCS #1; whether they are what they say is the proxy's to find out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    pub chain: String,
    pub key: Secret,
    pub names: Vec<HostPattern>,
}

impl Certificate {
    /// The longest chain, in bytes of PEM.
    pub const CHAIN_BYTES_MAX: usize = 65_536;
    /// The largest key, in bytes of PEM.
    pub const KEY_BYTES_MAX: usize = 16_384;
    /// The most names of one certificate; CAs allow 100.
    pub const NAMES_MAX: usize = 100;
}

/// What an edge says to a CA that looks for a proof: challenges of ACME (RFC 8555, RFC 8737).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acme {
    /// Thumbprints of the accounts whose http-01 challenges any edge may answer (RFC 8555 section 8.1).
    pub accounts: Vec<Thumbprint>,
    pub challenges: Challenges,
}

/// What a delta says of [`Acme`]: each field that is there replaces the whole of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcmeChange {
    pub accounts: Option<Vec<Thumbprint>>,
    pub challenges: Option<Challenges>,
}

/// Challenges that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Challenges {
    /// tls-alpn-01: what a handshake for the name gets that asks for `acme-tls/1` (RFC 8737 section 3).
    pub alpn: BTreeMap<Host, ChallengeCertificate>,
}

/// The self-signed certificate of a tls-alpn-01 challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChallengeCertificate {
    pub chain: String,
    pub key: Secret,
}

/// A private key in PEM; a Debug never shows it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Item for Certificate {
    type Key = CertificateId;
    type Beside = Acme;

    const DOCUMENT: DocumentName = DocumentName::Certificates;

    fn read(_id: &CertificateId, at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let chain = read_chain(&mut fields, reasons);
        let key = fields.required(reasons, "key");
        let names = fields.required::<Vec<HostPattern>>(reasons, "names");
        fields.finish(reasons);
        let names = names?;
        if names.is_empty() || names.len() > Self::NAMES_MAX {
            at.refuse(reasons, format!("found {} names, wanted 1 to {}", names.len(), Self::NAMES_MAX));
            return None;
        }
        Some(Self { chain: chain?, key: key?, names })
    }
}

fn read_chain(fields: &mut Fields<'_>, reasons: &mut Vec<Reason>) -> Option<String> {
    let Some(at) = fields.field("chain") else { return fields.required(reasons, "chain") };
    let chain = at.string(reasons, "certificates in PEM")?;
    if chain.len() > Certificate::CHAIN_BYTES_MAX {
        at.refuse(reasons, format!("found {} bytes, wanted at most {}", chain.len(), Certificate::CHAIN_BYTES_MAX));
        return None;
    }
    Some(chain.to_owned())
}

impl Read for Secret {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        // The found text may be a key: a reason never repeats it.
        match &at.node().value {
            Value::String(text) if text.len() <= Certificate::KEY_BYTES_MAX => Some(Self(text.clone())),
            _ => {
                at.refuse(reasons, format!("wanted a private key in PEM of at most {} bytes", Certificate::KEY_BYTES_MAX));
                None
            }
        }
    }
}

impl Read for ChallengeCertificate {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let chain = read_chain(&mut fields, reasons);
        let key = fields.required(reasons, "key");
        fields.finish(reasons);
        Some(Self { chain: chain?, key: key? })
    }
}

impl Read for Challenges {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let alpn = match fields.field("alpn") {
            Some(at) => at.map(reasons),
            None => Some(BTreeMap::new()),
        };
        fields.finish(reasons);
        Some(Self { alpn: alpn? })
    }
}

impl Beside for Acme {
    type Change = AcmeChange;

    fn read(fields: &mut Fields<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let change = Self::read_change(fields, reasons)?;
        Some(Self::default().changed_by(change))
    }

    fn read_change(fields: &mut Fields<'_>, reasons: &mut Vec<Reason>) -> Option<AcmeChange> {
        let accounts = fields.optional(reasons, "accounts");
        let challenges = fields.optional(reasons, "challenges");
        Some(AcmeChange { accounts: accounts?, challenges: challenges? })
    }

    fn changed_by(&self, change: AcmeChange) -> Self {
        Self {
            accounts: change.accounts.unwrap_or_else(|| self.accounts.clone()),
            challenges: change.challenges.unwrap_or_else(|| self.challenges.clone()),
        }
    }

    fn change_to(&self, next: &Self) -> AcmeChange {
        AcmeChange {
            accounts: (self.accounts != next.accounts).then(|| next.accounts.clone()),
            challenges: (self.challenges != next.challenges).then(|| next.challenges.clone()),
        }
    }

    fn to_fields(&self) -> Vec<(&'static str, Json)> {
        vec![("accounts", json!(self.accounts)), ("challenges", json!(self.challenges))]
    }

    fn change_to_fields(change: &AcmeChange) -> Vec<(&'static str, Json)> {
        let accounts = change.accounts.as_ref().map(|accounts| ("accounts", json!(accounts)));
        let challenges = change.challenges.as_ref().map(|challenges| ("challenges", json!(challenges)));
        accounts.into_iter().chain(challenges).collect()
    }
}

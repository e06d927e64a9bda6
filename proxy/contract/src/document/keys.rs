//! The keys document: whole only, and secret.

use std::fmt::{self, Debug};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use super::{Stamp, hash_text, read_stamp};
use crate::read::{At, Read, Reason, Value};

/// The secrets that every node of an edge shares: the first of each list signs, all verify.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeysDocument {
    /// Sign the sticky cookie.
    pub cookie: Vec<SecretKey>,
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Encrypt TLS session tickets.
    pub ticket: Vec<SecretKey>,
}

/// Random bytes, written in base64; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(pub Vec<u8>);

impl SecretKey {
    pub const BYTES_MIN: usize = 32;
    pub const BYTES_MAX: usize = 128;
}

/// The most keys of one kind: verifying tries them all.
pub const KEYS_MAX: usize = 8;

impl Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Serialize for SecretKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl Read for SecretKey {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let wanted = || format!("wanted {} to {} random bytes in base64", Self::BYTES_MIN, Self::BYTES_MAX);
        let bytes = match &at.node().value {
            Value::String(text) => STANDARD.decode(text).ok(),
            _ => None,
        };
        let bytes = bytes.filter(|bytes| (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&bytes.len()));
        if bytes.is_none() {
            at.refuse(reasons, wanted());
        }
        bytes.map(Self)
    }
}

impl KeysDocument {
    /// SHA-256, in hex, over the canonical form.
    pub fn hash(&self) -> String {
        hash_text(&serde_json::to_value(self).map(|value| value.to_string()).unwrap_or_default())
    }
}

impl Read for KeysDocument {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let stamp = read_stamp(&mut fields, reasons);
        let cookie = fields.required::<Vec<SecretKey>>(reasons, "cookie");
        let ticket = fields.or::<Vec<SecretKey>>(reasons, "ticket", Vec::new());
        fields.finish(reasons);
        let (cookie, ticket) = (cookie?, ticket?);
        if cookie.is_empty() {
            at.refuse(reasons, "'cookie' is empty, wanted at least one key");
        }
        for (name, keys) in [("cookie", &cookie), ("ticket", &ticket)] {
            if keys.len() > KEYS_MAX {
                at.refuse(reasons, format!("'{name}' has {} keys, wanted at most {KEYS_MAX}", keys.len()));
            }
        }
        Some(Self { cookie, stamp: stamp?, ticket })
    }
}

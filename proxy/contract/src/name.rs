//! The names that documents are made of: ids, hosts, hashes. Each holds only what is well formed.

use std::borrow::Borrow;
use std::fmt::{self, Debug, Display};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::read::{At, Read, Reason, quoted};

/// Defines a name type: a string that was checked once and can then be used without a thought.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $wanted:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(format!("found {}, wanted {}", quoted(text), $wanted)) }
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        through_text!($name, $wanted);

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Reads and writes a type through its `FromStr` and `Display`.
macro_rules! through_text {
    ($name:ident, $wanted:expr) => {
        impl Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl Read for $name {
            fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
                at.parse(reasons, $wanted)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

name! {
    /// The id of an app.
    AppId, "an app id: 1 to 63 of a-z, 0-9 and '-'", |text| {
        (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
}

name! {
    /// The id of an instance, unique within its app.
    InstanceId, "an instance id: 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-'", |text| {
        (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    }
}

name! {
    /// The id of a certificate in its document; a host will do.
    CertificateId, "a certificate id: 1 to 255 of A-Z, a-z, 0-9, '.', '_' and '-'", |text| {
        (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    }
}

name! {
    /// The thumbprint of an ACME account's key (RFC 7638), in base64url.
    Thumbprint, "a thumbprint: 1 to 128 of A-Z, a-z, 0-9, '_' and '-'", |text| {
        (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    }
}

name! {
    /// Who an app belongs to; limits of fairness count by owner.
    Owner, "an owner: 1 to 128 of A-Z, a-z, 0-9, '.', '_', '@' and '-'", |text| {
        (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
    }
}

impl From<&AppId> for Owner {
    /// Every app id is a good owner: an app without an owner owns itself.
    fn from(id: &AppId) -> Self {
        Self(id.0.clone())
    }
}

/// A host that requests name: a DNS name or an IPv4 address, in lower case, without port or trailing dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

impl Host {
    /// The longest DNS name (RFC 1035 section 2.3.4), in bytes.
    pub const LENGTH_MAX: usize = 253;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("found {}, wanted a host: {why}", quoted(text)));
        if !text.is_ascii() {
            return wrong("write an international name in its xn-- form");
        }
        let name = text.to_ascii_lowercase();
        if name.is_empty() || name.len() > Self::LENGTH_MAX {
            return wrong("1 to 253 characters");
        }
        for label in name.split('.') {
            if label.is_empty() || label.len() > 63 {
                return wrong("labels of 1 to 63 characters between the dots");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return wrong("no label starts or ends with '-'");
            }
            if !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_') {
                return wrong("a-z, 0-9, '-', '_' and dots; no port, no scheme, no path");
            }
        }
        Ok(Self(name.into()))
    }
}

impl Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

through_text!(Host, "a host");

/// What an app claims: one host, or every name below a domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    Exact(Host),
    /// `*.example.com`: every host that ends in `.example.com`, at any depth; not `example.com` itself.
    Below(Host),
}

impl HostPattern {
    /// The host, or the domain that the wildcard stands before.
    pub fn name(&self) -> &str {
        match self {
            Self::Exact(host) | Self::Below(host) => host.as_str(),
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("*.") {
            Some(domain) => domain.parse().map(Self::Below),
            None => text.parse().map(Self::Exact),
        }
    }
}

impl Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

through_text!(HostPattern, "a host or '*.' and a domain");

/// SHA-256 of some content, written `sha256-` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }
}

impl FromStr for ContentHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("found {}, wanted 'sha256-' and 64 hex digits in lower case", quoted(text));
        let hex = text.strip_prefix("sha256-").filter(|hex| hex.len() == 64).ok_or_else(wrong)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digit = |b: u8| match b {
                b'0'..=b'9' => Some(b - b'0'),
                b'a'..=b'f' => Some(b - b'a' + 10),
                _ => None,
            };
            *byte = match pair {
                [high, low] => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?,
                _ => return Err(wrong()),
            };
        }
        Ok(Self(bytes))
    }
}

impl Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256-")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

through_text!(ContentHash, "'sha256-' and 64 hex digits");

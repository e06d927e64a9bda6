//! One certificate: cold as text until a client asks for it, then ready to sign.

use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use karman_contract::document::{Certificate as Wire, Secret};
use karman_contract::name::{CertificateId, Host, HostPattern};
use karman_contract::status::{CertificateStatus, KeyType};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate of the table. Its key is never shown.
pub struct Certificate {
    pub id: CertificateId,
    pub names: Vec<HostPattern>,
    /// The chain's text, in two parts: other certificates have the same issuers.
    leaf: Box<str>,
    issuers: Arc<str>,
    key: Secret,
    key_type: KeyType,
    fingerprint: [u8; 32],
    not_before: Timestamp,
    not_after: Timestamp,
    /// Parsed at the first handshake.
    ready: OnceLock<Option<Arc<CertifiedKey>>>,
}

/// How far a certificate is on its way through its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Valid,
    /// Less than a tenth of its life is left: whoever renews it is late.
    Expiring,
    Expired,
}

impl Certificate {
    /// Reads the leaf, or says why it is none. `share` gives the one copy of a text of issuers.
    pub(super) fn new(id: CertificateId, wire: Wire, share: impl FnOnce(&str) -> Arc<str>) -> Result<Self, String> {
        let Wire { chain, key, names } = wire;
        let der = leaf(&chain)?;
        let parsed = parse(&der)?;
        let (leaf, issuers) = split(&chain);
        Ok(Self {
            id,
            names,
            leaf: leaf.into(),
            issuers: share(issuers),
            key,
            key_type: key_type(&parsed)?,
            fingerprint: Sha256::digest(&der).into(),
            not_before: time(parsed.validity().not_before.timestamp()),
            not_after: time(parsed.validity().not_after.timestamp()),
            ready: OnceLock::new(),
        })
    }

    /// Whether the document says the same.
    pub(super) fn is(&self, wire: &Wire) -> bool {
        let same_chain = wire.chain.strip_prefix(&*self.leaf).is_some_and(|issuers| issuers == &*self.issuers);
        same_chain && wire.key == self.key && wire.names == self.names
    }

    pub(super) fn to_wire(&self) -> Wire {
        Wire { chain: format!("{}{}", self.leaf, self.issuers), key: self.key.clone(), names: self.names.clone() }
    }

    pub(super) fn issuers(&self) -> &Arc<str> {
        &self.issuers
    }

    /// Which of two certificates for a name goes first: more clients can verify an Ed25519 one last,
    /// an ECDSA one is cheaper than RSA, and of the same kind the one that is good for longer.
    pub(super) fn rank(&self) -> (u8, Timestamp, &CertificateId) {
        let kind = match self.key_type {
            KeyType::Ecdsa => 2,
            KeyType::Rsa => 1,
            KeyType::Ed25519 => 0,
        };
        (kind, self.not_after, &self.id)
    }

    /// Whether a client of these schemes can verify its signatures.
    pub(super) fn signs_for(&self, schemes: &[SignatureScheme]) -> bool {
        self.ready().is_some_and(|ready| ready.key.choose_scheme(schemes).is_some())
    }

    /// The parsed pair. `None` for one that cannot be used, which only a document from disk can hold.
    pub fn ready(&self) -> Option<&Arc<CertifiedKey>> {
        let parsed = || {
            let pair = pair(&self.to_wire().chain, &self.key);
            pair.inspect_err(|(_, why)| tracing::error!(certificate = %self.id, why, "a certificate cannot be used")).ok()
        };
        self.ready.get_or_init(parsed).as_ref()
    }

    /// Whether it was issued for this host. A wildcard stands for one label.
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|pattern| covers(pattern, host))
    }

    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    pub fn standing(&self, now: Timestamp) -> Standing {
        let left = self.not_after.duration_since(now);
        let life = self.not_after.duration_since(self.not_before);
        match left {
            left if left <= SignedDuration::ZERO => Standing::Expired,
            left if left < life / 10 => Standing::Expiring,
            _ => Standing::Valid,
        }
    }

    pub fn status(&self) -> CertificateStatus {
        CertificateStatus {
            names: self.names.clone(),
            fingerprint: self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect(),
            not_before: self.not_before,
            not_after: self.not_after,
            key_type: self.key_type,
        }
    }
}

impl Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate {} for {:?} until {}", self.id, self.names, self.not_after)
    }
}

fn covers(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => name.as_str() == host,
        HostPattern::Below(domain) => host.split_once('.').is_some_and(|(_, above)| above == Host::as_str(domain)),
    }
}

/// The leaf's text, and what follows it.
fn split(chain: &str) -> (&str, &str) {
    const END: &str = "-----END CERTIFICATE-----";
    let end = chain.find(END).map_or(chain.len(), |at| at + END.len());
    let newline = chain.get(end..).and_then(|rest| rest.find('\n')).map_or(chain.len(), |at| end + at + 1);
    chain.split_at(newline)
}

pub(super) fn leaf(chain: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(chain.as_bytes()).map_err(|e| format!("wanted certificates in PEM: {e}"))
}

pub(super) fn parse<'a>(leaf: &'a CertificateDer<'static>) -> Result<X509Certificate<'a>, String> {
    X509Certificate::from_der(leaf).map(|(_, parsed)| parsed).map_err(|e| format!("its first certificate cannot be read: {e}"))
}

fn key_type(leaf: &X509Certificate<'_>) -> Result<KeyType, String> {
    match leaf.public_key().algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.2.1" => Ok(KeyType::Ecdsa),
        "1.2.840.113549.1.1.1" => Ok(KeyType::Rsa),
        "1.3.101.112" => Ok(KeyType::Ed25519),
        other => Err(format!("found a key of the algorithm {other}, wanted ECDSA, RSA or Ed25519")),
    }
}

/// A time that a certificate may say, or the nearest that can be held: some have no expiry, in the year 9999.
pub(super) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A chain with its key, ready to sign; or which of the two fields is wrong, and why.
pub(super) fn pair(chain: &str, key: &Secret) -> Result<Arc<CertifiedKey>, (&'static str, String)> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let certificates = certificates.map_err(|e| ("chain", format!("wanted certificates in PEM: {e}")))?;
    if certificates.is_empty() {
        return Err(("chain", "wanted certificates in PEM, found none".to_owned()));
    }
    // What these errors say never repeats the key.
    let key = PrivateKeyDer::from_pem_slice(key.0.as_bytes()).map_err(|_| ("key", "wanted a private key in PEM".to_owned()))?;
    let key = any_supported_type(&key).map_err(|_| {
        ("key", "wanted a key that can be used: ECDSA on P-256, P-384 or P-521, RSA of 2048 to 8192 bits, Ed25519".to_owned())
    })?;
    // Not by rustls' own check: it refuses the critical extension of a tls-alpn-01 challenge (RFC 8737 section 3).
    let (_, leaf) = X509Certificate::from_der(&certificates[0])
        .map_err(|error| ("chain", format!("its first certificate is no X.509 certificate: {error}")))?;
    if key.public_key().is_none_or(|public| public.as_ref() != leaf.public_key().raw) {
        return Err(("key", "it is not the key of the chain's first certificate".to_owned()));
    }
    Ok(Arc::new(CertifiedKey::new(certificates, key)))
}

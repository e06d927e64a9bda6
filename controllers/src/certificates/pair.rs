//! A chain and its private key as PEM text, read once into what can be relied on, or refused with every reason.

use jiff::Timestamp;
use karman_contract::document::Certificate;
use karman_contract::name::HostPattern;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// More text than this is no chain and no key.
pub const PEM_BYTES_MAX: usize = Certificate::CHAIN_BYTES_MAX;
/// A leaf, its intermediates, and one to spare for a cross-signed root.
const CHAIN_MAX: usize = 8;

/// A chain that is whole and in order, with the key that belongs to its leaf.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    pub names: Vec<HostPattern>,
    /// PEM, leaf first; a root at the end is left out, since who trusts it has it.
    pub chain: String,
    /// PEM (PKCS#8, PKCS#1 or SEC1).
    pub key: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub is_rsa: bool,
    /// SHA-256 of the leaf, in hex.
    pub fingerprint: String,
}

impl Pair {
    /// Checks that the texts are a pair which clients will take at `now`. The reasons never repeat the key.
    pub fn read(chain: &str, key: &str, now: Timestamp) -> Result<Self, Vec<String>> {
        let mut reasons = Vec::new();
        let chain = read_chain(chain, &mut reasons);
        let key = read_key(key, &mut reasons);
        let Some(ders) = chain else { return Err(reasons) };
        let parsed: Vec<_> = ders.iter().filter_map(|der| X509Certificate::from_der(der).ok()).collect();
        let parsed: Vec<_> = parsed.into_iter().map(|(_, certificate)| certificate).collect();
        let Some(leaf) = parsed.first().filter(|_| parsed.len() == ders.len()) else {
            reasons.push("the chain has a block that is no X.509 certificate".to_owned());
            return Err(reasons);
        };
        let names = names_of(leaf, &mut reasons);
        let (not_before, not_after) = check_dates(leaf, now, &mut reasons);
        check_links(&parsed, &mut reasons);
        let is_rsa = leaf.public_key().algorithm.algorithm == x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
        if let Some((_, spki)) = &key
            && spki.as_slice() != leaf.public_key().raw
        {
            reasons.push(format!("the private key is not that of the chain's first certificate ({})", leaf.subject()));
        }
        match key {
            Some((key, _)) if reasons.is_empty() => {
                let kept = if parsed.len() > 1 && parsed.last().is_some_and(is_root) { parsed.len() - 1 } else { parsed.len() };
                let fingerprint = Sha256::digest(ders[0].as_ref()).iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(Self { names, chain: to_pem(&ders[..kept]), key, not_before, not_after, is_rsa, fingerprint })
            }
            _ => Err(reasons),
        }
    }
}

/// Never shows the key.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("names", &self.names).field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// SHA-256 of a chain's first certificate, in hex.
pub fn fingerprint(chain: &str) -> Option<String> {
    let leaf = leaf_of(chain)?;
    Some(Sha256::digest(leaf.as_ref()).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The first certificate of a chain that was checked when it was stored.
pub fn leaf_of(chain: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(chain.as_bytes()).ok()
}

fn read_chain(text: &str, reasons: &mut Vec<String>) -> Option<Vec<CertificateDer<'static>>> {
    let text = check_text("chain", text, reasons)?;
    let ders: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match ders {
        Ok(ders) if ders.is_empty() => {
            reasons.push("the chain has no certificate, wanted '-----BEGIN CERTIFICATE-----'".to_owned());
            None
        }
        Ok(ders) if ders.len() > CHAIN_MAX => {
            reasons.push(format!("the chain has {} certificates, wanted at most {CHAIN_MAX}", ders.len()));
            None
        }
        Ok(ders) => Some(ders),
        Err(error) => {
            reasons.push(format!("the chain is not PEM: {error}"));
            None
        }
    }
}

/// The key's text, and its public half as certificates write it.
fn read_key(text: &str, reasons: &mut Vec<String>) -> Option<(String, Vec<u8>)> {
    let text = check_text("key", text, reasons)?;
    if text.contains("ENCRYPTED") {
        reasons.push("the private key is encrypted with a passphrase: decrypt it first, with 'openssl pkey'".to_owned());
        return None;
    }
    // An error of the parser could repeat a piece of the key.
    let Ok(der) = PrivateKeyDer::from_pem_slice(text.as_bytes()) else {
        reasons.push("the key is no private key in PEM".to_owned());
        return None;
    };
    let public = any_supported_type(&der).ok().and_then(|key| key.public_key().map(|spki| spki.to_vec()));
    match public {
        Some(spki) => Some((text.trim().to_owned() + "\n", spki)),
        None => {
            reasons.push(
                "the private key is of a kind that no TLS client takes: wanted ECDSA P-256, P-384 or RSA from 2048 bits"
                    .to_owned(),
            );
            None
        }
    }
}

/// The text itself, without the mark that some editors put before it.
fn check_text<'a>(what: &str, text: &'a str, reasons: &mut Vec<String>) -> Option<&'a str> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        reasons.push(format!("the {what} is empty"));
        return None;
    }
    if text.len() > PEM_BYTES_MAX {
        reasons.push(format!("the {what} has {} bytes, wanted at most {PEM_BYTES_MAX}", text.len()));
        return None;
    }
    Some(text)
}

fn names_of(leaf: &X509Certificate<'_>, reasons: &mut Vec<String>) -> Vec<HostPattern> {
    let mut names = Vec::new();
    let san = leaf.subject_alternative_name().ok().flatten();
    for name in san.iter().flat_map(|san| &san.value.general_names) {
        let name = match name {
            GeneralName::DNSName(name) => name.parse::<HostPattern>(),
            GeneralName::IPAddress([a, b, c, d]) => format!("{a}.{b}.{c}.{d}").parse(),
            _ => continue,
        };
        match name {
            Ok(name) => names.push(name),
            Err(why) => reasons.push(format!("the certificate is for a name that no host can have: {why}")),
        }
    }
    if names.is_empty() {
        reasons.push("the certificate has no name: wanted DNS names among its subject alternative names".to_owned());
    }
    if leaf.is_ca() {
        reasons.push(format!("the first certificate ({}) is that of a CA, wanted the leaf first", leaf.subject()));
    }
    names
}

fn check_dates(leaf: &X509Certificate<'_>, now: Timestamp, reasons: &mut Vec<String>) -> (Timestamp, Timestamp) {
    let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).unwrap_or_default();
    let (not_before, not_after) = (time(leaf.validity().not_before), time(leaf.validity().not_after));
    if now > not_after {
        reasons.push(format!("the certificate ended at {not_after}"));
    }
    if now < not_before {
        reasons.push(format!("the certificate begins only at {not_before}; it is {now} now"));
    }
    (not_before, not_after)
}

/// Each certificate has to be signed by the next, and the last has to be one that clients may know.
fn check_links(chain: &[X509Certificate<'_>], reasons: &mut Vec<String>) {
    for pair in chain.windows(2) {
        let [lower, upper] = pair else { continue };
        if lower.issuer() != upper.subject() {
            let (lower, issuer, found) = (lower.subject(), lower.issuer(), upper.subject());
            reasons.push(format!("after the certificate of {lower} comes that of {found}, wanted that of its issuer {issuer}"));
        } else if lower.verify_signature(Some(upper.public_key())).is_err() {
            reasons.push(format!("the certificate of {} was not signed with the key of {}", lower.subject(), upper.subject()));
        }
    }
    if let [leaf] = chain
        && leaf.issuer() != leaf.subject()
    {
        reasons.push(format!("the chain ends with its leaf: the certificate of its issuer {} is missing", leaf.issuer()));
    }
}

fn is_root(certificate: &X509Certificate<'_>) -> bool {
    certificate.issuer() == certificate.subject()
}

fn to_pem(chain: &[CertificateDer<'_>]) -> String {
    use base64::Engine as _;
    let mut text = String::new();
    for der in chain {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        for line in encoded.as_bytes().chunks(64) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

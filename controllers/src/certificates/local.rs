//! The local CA: certificates for one machine, without a network. Whoever wants no warning trusts its root.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{SignedDuration, Timestamp};
use karman_contract::name::HostPattern;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::pair::Pair;
use crate::failure::{Exit, Failure};

/// A leaf lives for a day, so that renewal is something that happens all the time.
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(24);
const ROOT_LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Clocks differ.
const BEFORE_NOW: SignedDuration = SignedDuration::from_mins(5);

/// A root and its key, both in PEM.
pub struct LocalCa {
    pub root: String,
    pub key: String,
}

impl LocalCa {
    pub fn new(now: Timestamp) -> Result<Self, Failure> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Karman local CA, {}", now.strftime("%Y-%m-%d %H:%M:%S")));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (system_time(now - BEFORE_NOW).into(), system_time(now + ROOT_LIFE).into());
        let root = params.self_signed(&key).map_err(failed)?;
        Ok(Self { root: root.pem(), key: key.serialize_pem() })
    }

    /// A new certificate with a new key.
    pub fn issue(&self, names: &[HostPattern], now: Timestamp) -> Result<Pair, Failure> {
        let issuer = Issuer::from_ca_cert_pem(&self.root, KeyPair::from_pem(&self.key).map_err(failed)?).map_err(failed)?;
        let key = KeyPair::generate().map_err(failed)?;
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (system_time(now - BEFORE_NOW).into(), system_time(now + LEAF_LIFE).into());
        let leaf = params.signed_by(&key, &issuer).map_err(failed)?;
        // Who trusts this CA has its root; it is in the chain so that the chain can be checked here.
        let chain = format!("{}{}", leaf.pem(), self.root);
        Pair::read(&chain, &key.serialize_pem(), now).map_err(|reasons| failed(reasons.join("; ")))
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::System, format!("the local CA: {error}"))
}

fn system_time(time: Timestamp) -> SystemTime {
    let seconds = u64::try_from(time.as_second()).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

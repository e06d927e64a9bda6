//! Certificates and challenges that a proxy refuses, so that all others go through. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_contract::document::{Acme, Certificate, ChallengeCertificate};
use karman_contract::name::{CertificateId, Host};
use karman_contract::read::Reason;

use super::wanted::Content;

#[derive(Default)]
pub struct Rejects {
    certificates: BTreeMap<CertificateId, Rejected<Arc<Certificate>>>,
    challenges: BTreeMap<Host, Rejected<ChallengeCertificate>>,
}

/// A version of something that the proxy refused.
struct Rejected<T> {
    version: T,
    reasons: Vec<Reason>,
    /// Whether the version that the proxy has stays. It may have ended meanwhile, and be refused too.
    keeps: bool,
}

impl Rejects {
    /// What to send: what the store says, but for what the proxy is known to refuse. Of that it keeps the version it has.
    pub fn apply(&mut self, wanted: &Content<Certificate>, has: Option<&Content<Certificate>>) -> Content<Certificate> {
        // A new version gets its chance.
        self.certificates.retain(|id, rejected| wanted.items.get(id) == Some(&rejected.version));
        self.challenges.retain(|host, rejected| wanted.beside.challenges.alpn.get(host) == Some(&rejected.version));
        let mut content = wanted.clone();
        for (id, rejected) in &self.certificates {
            match has.and_then(|has| has.items.get(id)).filter(|_| rejected.keeps) {
                Some(kept) => drop(content.items.insert(id.clone(), Arc::clone(kept))),
                None => drop(content.items.remove(id)),
            }
        }
        // The one before is of another order, which is over.
        content.beside.challenges.alpn.retain(|host, _| !self.challenges.contains_key(host));
        content
    }

    /// Takes note of what a refusal names. False if it names nothing that was sent.
    pub fn refuse(&mut self, wanted: &Content<Certificate>, sent: &Content<Certificate>, reasons: &[Reason]) -> bool {
        let mut found = false;
        for reason in reasons {
            if let Some((id, version)) = named_certificate(&reason.at, sent) {
                let wanted = wanted.items.get(id).unwrap_or(version);
                let rejected = self.certificates.entry(id.clone()).or_insert_with(|| Rejected::new(Arc::clone(wanted)));
                rejected.keeps &= version == wanted;
                rejected.reasons.push(reason.clone());
                found = true;
            } else if let Some((host, version)) = named_challenge(&reason.at, &sent.beside) {
                let rejected = self.challenges.entry(host.clone()).or_insert_with(|| Rejected::new(version.clone()));
                rejected.reasons.push(reason.clone());
                found = true;
            }
        }
        found
    }

    /// A proxy that was started anew may be another release: it is asked again.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// What was refused, in words, and why.
    pub fn reasons(&self) -> BTreeMap<String, Vec<Reason>> {
        let certificates = self.certificates.iter().map(|(id, rejected)| (format!("the certificate {id}"), &rejected.reasons));
        let challenges = self.challenges.iter().map(|(host, rejected)| (format!("the challenge of {host}"), &rejected.reasons));
        certificates.chain(challenges).map(|(what, reasons)| (what, reasons.clone())).collect()
    }
}

impl<T> Rejected<T> {
    fn new(version: T) -> Self {
        Self { version, reasons: Vec::new(), keeps: true }
    }
}

/// The certificate in `certificates.a.example.com.names[0]` or `put.a.example.com`. An id may hold dots.
fn named_certificate<'a>(at: &str, sent: &'a Content<Certificate>) -> Option<(&'a CertificateId, &'a Arc<Certificate>)> {
    let rest = at.strip_prefix("certificates.").or_else(|| at.strip_prefix("put."))?;
    [Some(rest), rest.rsplit_once('.').map(|(id, _)| id)].into_iter().flatten().find_map(|id| sent.items.get_key_value(id))
}

/// The host in `challenges.alpn.a.example.com.chain`.
fn named_challenge<'a>(at: &str, sent: &'a Acme) -> Option<(&'a Host, &'a ChallengeCertificate)> {
    let rest = at.strip_prefix("challenges.alpn.")?;
    [Some(rest), rest.rsplit_once('.').map(|(host, _)| host)]
        .into_iter()
        .flatten()
        .find_map(|host| sent.challenges.alpn.get_key_value(host))
}

#[cfg(test)]
mod tests;

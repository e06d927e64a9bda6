//! The certificate table: every certificate of the edge, found by the name a client asks for.
//!
//! A handshake pins one table. A certificate is cold until its first handshake: its PEM text, which
//! its document needs anyway, and what an operator may ask about it.

mod certificate;
mod challenge;
mod judge;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use karman_contract::document::{
    Acme, Beside, Certificate as Wire, CertificatesDelta, CertificatesDocument, Document, Stamp, hash_items, write_items,
};
use karman_contract::name::{CertificateId, Host, HostPattern, Thumbprint};
use karman_contract::read::Reason;
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

pub use self::certificate::{Certificate, Standing};
use self::challenge::Challenges;
use crate::documents::Table;
use crate::table::shards::Shards;

/// One immutable table.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    stamp: Option<Stamp>,
    certificates: Shards<CertificateId, Arc<Certificate>>,
    exact: Shards<Host, Candidates>,
    /// By the domain that the wildcard stands before.
    below: Shards<Host, Candidates>,
    /// What follows the leaf in a chain, once for all certificates that it follows in. One that no
    /// certificate has any more stays until the next whole document.
    issuers: Shards<Arc<str>, ()>,
    acme: Arc<Acme>,
    challenges: Challenges,
    hash: OnceLock<String>,
}

/// The certificates for one name, best first: an ECDSA one and an RSA one, and while one is being
/// replaced under a new id both the old and the new.
type Candidates = Arc<[Arc<Certificate>]>;

impl Certificates {
    /// The certificate for this name that a client of these signature schemes gets: by exact name,
    /// else by the wildcard one label above (RFC 9525 section 6.3). `name` is in lower case.
    pub fn find(&self, name: &str, schemes: &[SignatureScheme]) -> Option<&Arc<Certificate>> {
        let candidates = self.candidates(name)?;
        candidates.iter().find(|certificate| certificate.signs_for(schemes)).or_else(|| candidates.first())
    }

    /// Whether there is a certificate for this name.
    pub fn covers(&self, name: &str) -> bool {
        self.candidates(name).is_some()
    }

    fn candidates(&self, name: &str) -> Option<&Candidates> {
        self.exact.get(name).or_else(|| self.below.get(name.split_once('.')?.1))
    }

    /// The certificate that answers an open tls-alpn-01 challenge for this name (RFC 8737).
    pub fn challenge(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.challenges.get(name)
    }

    /// The ACME accounts whose http-01 challenges this edge answers.
    pub fn accounts(&self) -> &[Thumbprint] {
        &self.acme.accounts
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.certificates.iter().map(|(_, certificate)| certificate)
    }

    /// In the order of their ids.
    pub fn sorted(&self) -> Vec<&Arc<Certificate>> {
        let mut certificates: Vec<_> = self.iter().collect();
        certificates.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        certificates
    }

    /// Takes the item in, or says why it is no certificate.
    fn insert(&mut self, id: CertificateId, wire: Wire, at: &str, reasons: &mut Vec<Reason>) {
        match Certificate::new(id.clone(), wire, |issuers| self.share(issuers)) {
            Ok(certificate) => self.enter(Arc::new(certificate)),
            Err(why) => reasons.push(Reason::new(format!("{at}.{id}.chain"), why)),
        }
    }

    fn enter(&mut self, certificate: Arc<Certificate>) {
        for pattern in &certificate.names {
            let (index, name) = self.index(pattern);
            let mut candidates: Vec<_> = index.get(name.as_str()).map(|them| them.to_vec()).unwrap_or_default();
            candidates.push(Arc::clone(&certificate));
            candidates.sort_by(|a, b| b.rank().cmp(&a.rank()));
            index.insert(name, candidates.into());
        }
        self.certificates.insert(certificate.id.clone(), certificate);
    }

    fn leave(&mut self, id: &CertificateId) {
        let Some(certificate) = self.certificates.remove(id.as_str()) else { return };
        for pattern in &certificate.names {
            let (index, name) = self.index(pattern);
            let Some(candidates) = index.get(name.as_str()) else { continue };
            let left: Vec<_> = candidates.iter().filter(|other| other.id != *id).cloned().collect();
            if left.is_empty() {
                index.remove(name.as_str());
            } else {
                index.insert(name, left.into());
            }
        }
    }

    fn index(&mut self, pattern: &HostPattern) -> (&mut Shards<Host, Candidates>, Host) {
        match pattern {
            HostPattern::Exact(host) => (&mut self.exact, host.clone()),
            HostPattern::Below(domain) => (&mut self.below, domain.clone()),
        }
    }

    fn share(&mut self, issuers: &str) -> Arc<str> {
        if let Some((shared, ())) = self.issuers.entry(issuers) {
            return Arc::clone(shared);
        }
        let shared: Arc<str> = issuers.into();
        self.issuers.insert(Arc::clone(&shared), ());
        shared
    }

    fn set_acme(&mut self, acme: Acme, reasons: &mut Vec<Reason>) {
        if acme != *self.acme {
            self.challenges = self.challenges.changed_to(&acme.challenges, reasons);
            self.acme = Arc::new(acme);
        }
    }
}

impl Table for Certificates {
    type Item = Wire;
    type Change = ();

    fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    fn len(&self) -> usize {
        self.certificates.len()
    }

    fn has(&self, id: &CertificateId) -> bool {
        self.certificates.get(id.as_str()).is_some()
    }

    fn holds(&self, id: &CertificateId, wire: &Wire) -> bool {
        self.certificates.get(id.as_str()).is_some_and(|certificate| certificate.is(wire))
    }

    fn beside(&self) -> &Acme {
        &self.acme
    }

    fn hash(&self) -> &str {
        self.hash.get_or_init(|| {
            let sorted = self.sorted();
            let items = sorted.iter().map(|certificate| (&certificate.id, certificate.to_wire()));
            hash_items::<Wire>(self.stamp.unwrap_or_default(), self.acme.to_fields(), items)
        })
    }

    fn write(&self, out: &mut dyn Write) {
        let sorted = self.sorted();
        let items = sorted.iter().map(|certificate| (&certificate.id, certificate.to_wire()));
        write_items::<Wire>(out, self.stamp.unwrap_or_default(), self.acme.to_fields(), items);
    }

    fn removed_by(&self, document: &Document<Wire>) -> usize {
        self.iter().filter(|certificate| !document.items.contains_key(&certificate.id)).count()
    }

    /// What the table has already was judged when it came, and may have expired since.
    fn judge<'a>(&self, items: impl Iterator<Item = (&'a CertificateId, &'a Wire)>, at: &str, now: Timestamp) -> Vec<Reason> {
        let new = items.filter(|(id, wire)| !self.holds(id, wire));
        new.flat_map(|(id, wire)| judge::judge(wire, &format!("{at}.{id}"), now)).collect()
    }

    /// Certificates that did not change are shared with this table.
    fn replaced_by(&self, document: CertificatesDocument) -> Result<(Self, Vec<()>), Vec<Reason>> {
        let mut reasons = Vec::new();
        let mut next = Self {
            stamp: Some(document.stamp),
            acme: Arc::clone(&self.acme),
            challenges: self.challenges.clone(),
            ..Self::default()
        };
        next.set_acme(document.beside, &mut reasons);
        for (id, wire) in document.items {
            match self.certificates.get(id.as_str()) {
                Some(before) if before.is(&wire) => {
                    next.issuers.insert(Arc::clone(before.issuers()), ());
                    next.enter(Arc::clone(before));
                }
                _ => next.insert(id, wire, "certificates", &mut reasons),
            }
        }
        if reasons.is_empty() { Ok((next, Vec::new())) } else { Err(reasons) }
    }

    fn changed_by(&self, delta: CertificatesDelta) -> Result<(Self, Vec<()>), Vec<Reason>> {
        let mut reasons = Vec::new();
        let mut next = Self { stamp: Some(delta.stamp), hash: OnceLock::new(), ..self.clone() };
        next.set_acme(self.acme.changed_by(delta.beside), &mut reasons);
        for id in delta.remove.iter().chain(delta.put.keys()) {
            next.leave(id);
        }
        for (id, wire) in delta.put {
            next.insert(id, wire, "put", &mut reasons);
        }
        if reasons.is_empty() { Ok((next, Vec::new())) } else { Err(reasons) }
    }
}

//! Open tls-alpn-01 challenges, each with its self-signed certificate (RFC 8737).

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_contract::document::{ChallengeCertificate, Challenges as Wire};
use karman_contract::name::Host;
use karman_contract::read::Reason;
use rustls::sign::CertifiedKey;

use super::certificate::pair;

/// The challenges of a table. They are few and short-lived: each is parsed when it comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Challenges(Arc<BTreeMap<Host, Challenge>>);

#[derive(Clone, Debug)]
struct Challenge {
    wire: ChallengeCertificate,
    ready: Arc<CertifiedKey>,
}

impl Challenges {
    pub(super) fn get(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.get(name).map(|challenge| Arc::clone(&challenge.ready))
    }

    /// The next ones; those that stay are not parsed again.
    pub(super) fn changed_to(&self, wire: &Wire, reasons: &mut Vec<Reason>) -> Self {
        let mut next = BTreeMap::new();
        for (name, wire) in &wire.alpn {
            if let Some(same) = self.0.get(name).filter(|challenge| challenge.wire == *wire) {
                next.insert(name.clone(), same.clone());
                continue;
            }
            match pair(&wire.chain, &wire.key) {
                Ok(ready) => {
                    next.insert(name.clone(), Challenge { wire: wire.clone(), ready });
                }
                Err((field, why)) => reasons.push(Reason::new(format!("challenges.alpn.{name}.{field}"), why)),
            }
        }
        Self(Arc::new(next))
    }
}

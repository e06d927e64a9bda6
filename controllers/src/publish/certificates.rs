//! The certificates document of one proxy: what the store says, but for what the proxy refuses of it,
//! and with what the store may have lost.

use std::collections::BTreeSet;

use karman_contract::answer::Refusal;
use karman_contract::document::{Certificate, Stamp};
use karman_contract::name::CertificateId;
use karman_contract::status::DocumentStatus;
use serde::{Deserialize, Serialize};

use super::decide::{Has, Held};
use super::known::Known;
use super::ledger::Shared;
use super::left_out::LeftOut;
use super::outcome::Trouble;
use super::rejects::Rejects;
use super::send::{Unsent, send};
use super::wanted::Content;
use crate::admin::Admin;

/// How often one round asks anew after a refusal that taught us something.
const TRIES_MAX: usize = 6;

/// What a proxy is known to have.
#[derive(Default)]
pub struct HasCertificates {
    has: Has<Certificate>,
    rejects: Rejects,
    without: LeftOut<Certificate>,
    lost: Option<Lost>,
}

/// Certificates that the store may have lost with its data. A proxy tells no key, so nobody could send them again: it
/// keeps them as long as its document goes on in the epoch before, by deltas. So whoever starts anew finds them again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub certificates: BTreeSet<CertificateId>,
    /// How many the proxy had.
    pub of: usize,
}

impl HasCertificates {
    /// What the proxy says of its certificates, which may be what is wanted.
    pub fn met(&mut self, status: &DocumentStatus, wanted: Option<&Content<Certificate>>, known: &Known, is_new_run: bool) {
        if is_new_run {
            self.without = LeftOut::default();
        }
        let supposed = self.rejects.apply(&wanted.cloned().unwrap_or_default(), self.has.held().map(|held| &held.content));
        self.has = Has::recognized(status.stamp, status.hash.as_deref(), &supposed, known);
        if matches!(self.has, Has::This(_)) {
            self.lost = None;
        }
        if is_new_run {
            self.rejects.forget();
        }
    }

    pub fn stamp(&self) -> Option<Stamp> {
        self.has.stamp()
    }

    /// What the proxy is known to have, if that is all it has.
    pub fn held(&self) -> Option<&Held<Certificate>> {
        self.has.held().filter(|_| self.lost.is_none())
    }

    pub fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    pub fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    pub fn without(&self) -> &LeftOut<Certificate> {
        &self.without
    }

    /// Makes the proxy have these certificates, but for what it refuses of them. `accept`: what the store has no more is to go.
    pub async fn sync(
        &mut self,
        wanted: &Content<Certificate>,
        admin: &Admin,
        (stamp, ledger): (&mut Stamp, &Shared),
        (known, accept): (&Known, bool),
    ) -> Result<(), Trouble> {
        for _ in 0..TRIES_MAX {
            self.look_for_lost(wanted, admin, *stamp, accept).await?;
            let content = self.rejects.apply(wanted, self.has.held().map(|held| &held.content));
            self.without.look(known, &content.items);
            // The next of the epoch that the proxy is at, and not of the store's.
            let before = self.has.stamp().filter(|_| self.lost.is_some());
            let mut next = before.map(|stamp| Stamp { generation: stamp.generation + 1, ..stamp });
            let order = (next.as_mut().unwrap_or(&mut *stamp), ledger);
            match send(admin, &mut self.has, &content, order, (known, accept)).await {
                Ok(_) => return Ok(()),
                Err(Unsent::Again) => {}
                Err(Unsent::Refused(Refusal::Refused { reasons })) if self.rejects.refuse(wanted, &content, &reasons) => {}
                Err(Unsent::Refused(refusal)) => {
                    return Err(Trouble::Problem(format!("the proxy refused the certificates: {refusal}")));
                }
                Err(Unsent::Trouble(trouble)) => return Err(trouble),
            }
        }
        Err(Trouble::Problem("the proxy's certificates change under our hands: is there another publisher?".to_owned()))
    }

    /// Looks what a store of another epoch than the proxy's has no more: no certificate goes for that, not even a single
    /// one, without somebody saying so.
    async fn look_for_lost(
        &mut self,
        wanted: &Content<Certificate>,
        admin: &Admin,
        store: Stamp,
        accept: bool,
    ) -> Result<(), Trouble> {
        let lost = self.find_lost(admin, store, accept).await?.map(|(stamp, mut lost)| {
            lost.certificates.retain(|id| !wanted.items.contains_key(id));
            (stamp, lost)
        });
        match (lost.filter(|(_, lost)| !lost.certificates.is_empty()), &self.has) {
            // Whatever the store has can be put beside them.
            (Some((stamp, lost)), Has::Unknown(_)) => {
                self.has = Has::This(Held { stamp, content: Content::default() });
                self.lost = Some(lost);
            }
            (Some((_, lost)), _) => self.lost = Some(lost),
            (None, Has::This(held)) if self.lost.is_some() => {
                self.has = Has::Unknown(held.stamp);
                self.lost = None;
            }
            (None, _) => self.lost = None,
        }
        Ok(())
    }

    /// All that may be lost, and where the proxy is.
    async fn find_lost(&self, admin: &Admin, store: Stamp, accept: bool) -> Result<Option<(Stamp, Lost)>, Trouble> {
        let is_of_before = self.has.stamp().is_some_and(|stamp| stamp.epoch != store.epoch);
        Ok(match (&self.has, &self.lost) {
            _ if accept || !is_of_before => None,
            (Has::Nothing, _) => None,
            (Has::This(held), Some(lost)) => Some((held.stamp, lost.clone())),
            (Has::This(held), None) => Some((held.stamp, Lost::any_of(held.content.items.keys().cloned().collect()))),
            (Has::Unknown(_), _) => {
                let (stamp, certificates) = admin.certificates().await?;
                Some((stamp, Lost::any_of(certificates.into_keys().collect())))
            }
        })
    }
}

impl Lost {
    fn any_of(certificates: BTreeSet<CertificateId>) -> Self {
        Self { of: certificates.len(), certificates }
    }
}

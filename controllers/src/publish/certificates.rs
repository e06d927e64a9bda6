//! The certificates document of one proxy: what the store says, but for what the proxy refuses of it,
//! and with what the store may have lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use karman_contract::answer::Refusal;
use karman_contract::document::{Certificate, Stamp};
use karman_contract::name::CertificateId;
use karman_contract::status::DocumentStatus;
use serde::{Deserialize, Serialize};

use super::decide::Has;
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    pub fn has(&self) -> &Has<Certificate> {
        &self.has
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
            let mut content = self.rejects.apply(wanted, self.has.held().map(|held| &held.content));
            content.items.extend(self.lost_and_known());
            self.without.look(known, &content.items);
            match send(admin, &mut self.has, &content, (&mut *stamp, ledger), (known, accept)).await {
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
        let mut lost = self.find_lost(admin, store, accept).await?.unwrap_or_default();
        lost.certificates.retain(|id| !wanted.items.contains_key(id));
        self.lost = Some(lost).filter(|lost| !lost.certificates.is_empty());
        self.has.has_more(self.lost.is_some());
        Ok(())
    }

    /// All that may be lost.
    async fn find_lost(&mut self, admin: &Admin, store: Stamp, accept: bool) -> Result<Option<Lost>, Trouble> {
        let is_of_before = self.has.stamp().is_some_and(|stamp| stamp.epoch != store.epoch);
        if accept || !is_of_before {
            return Ok(None);
        }
        let Some(held) = self.has.held() else {
            let (stamp, certificates) = admin.certificates().await?;
            self.has = Has::Unknown(stamp);
            return Ok(Some(Lost::any_of(certificates.into_keys().collect())));
        };
        let all = || Lost::any_of(held.content.items.keys().cloned().collect());
        Ok(Some(self.lost.clone().unwrap_or_else(all)))
    }

    /// What may be lost, and was sent by this process.
    fn lost_and_known(&self) -> Vec<(CertificateId, Arc<Certificate>)> {
        let has = self.has.items();
        let lost = self.lost.iter().flat_map(|lost| &lost.certificates);
        lost.filter_map(|id| Some((id.clone(), Arc::clone(has.get(id)?)))).collect()
    }
}

impl Lost {
    fn any_of(certificates: BTreeSet<CertificateId>) -> Self {
        Self { of: certificates.len(), certificates }
    }
}

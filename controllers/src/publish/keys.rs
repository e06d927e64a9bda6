//! The keys document of one proxy: whole only, and known by its hash alone.

use karman_contract::answer::Refusal;
use karman_contract::document::{DocumentName, KeysDocument, Stamp};
use karman_contract::status::{Confirmed, DocumentStatus};

use super::known::Known;
use super::ledger::Shared;
use super::outcome::Trouble;
use crate::admin::{Admin, AdminError};
use crate::certificates::published::Keys;

/// How often the store goes past what the proxy has, in one round.
const TRIES_MAX: usize = 3;

/// What a proxy is known to have.
#[derive(Default)]
pub struct HasKeys {
    sent: Option<KeysDocument>,
    stamp: Option<Stamp>,
    hash: Option<String>,
}

impl HasKeys {
    /// What the proxy says of its keys.
    pub fn met(&mut self, status: &DocumentStatus) {
        *self = Self { sent: None, stamp: status.stamp, hash: status.hash.clone() };
    }

    pub fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Makes the proxy have these keys.
    pub async fn sync(
        &mut self,
        keys: &Keys,
        admin: &Admin,
        (stamp, ledger): (&mut Stamp, &Shared),
        known: &Known,
    ) -> Result<(), Trouble> {
        let document = |stamp| KeysDocument { cookie: keys.cookie.clone(), ticket: keys.ticket.clone(), stamp };
        if let Some(current) = self.stamp {
            let same = document(current);
            if self.sent.as_ref() == Some(&same) || self.hash.as_ref() == Some(&known.hash_of_keys(&same)) {
                self.sent = Some(same);
                return Ok(());
            }
        }
        for _ in 0..TRIES_MAX {
            if let Some(current) = self.stamp.filter(|current| current.epoch == stamp.epoch && *current >= *stamp) {
                *stamp = ledger.go_past(current.generation).await?;
            }
            let wanted = document(*stamp);
            match admin.put(DocumentName::Keys, known.keys(&wanted).into_bytes()).await {
                Ok(applied) => {
                    *self = Self { stamp: Some(applied.stamp), hash: Some(known.hash_of_keys(&wanted)), sent: Some(wanted) };
                    return Ok(());
                }
                Err(AdminError::Refused(Refusal::Stale { current, .. })) => self.stamp = Some(current),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Trouble::Problem("the proxy's keys change under our hands: is there another publisher?".to_owned()))
    }

    pub fn confirmed(&self) -> Option<Confirmed> {
        let Stamp { epoch, generation } = self.sent.as_ref()?.stamp;
        Some(Confirmed { epoch, generation, hash: self.hash.clone()? })
    }
}

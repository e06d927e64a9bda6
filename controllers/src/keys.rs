//! The secrets that all edges share: the keys of the sticky cookie and of TLS session tickets.
//!
//! Each list stands in the store as `keys/cookie` and `keys/ticket`, sealed. The first key signs and
//! all verify; a new key verifies everywhere for a while before it signs anywhere, so that no edge is
//! shown what it cannot read.

use aws_lc_rs::rand;
use jiff::{SignedDuration, Timestamp};
use karman_contract::document::SecretKey;
use karman_contract::read::{At, Read, Reason};
use serde::Serialize;

use crate::certificates::entry::time;
use crate::failure::{Exit, Failure};
use crate::sealing::{CannotOpen, Sealed, Sealing};

pub mod account;
pub mod controller;
#[cfg(test)]
mod tests;
pub mod verbs;

/// How many keys of a list are kept, the next one not counted.
pub const KEPT: usize = 4;
/// Ticket keys sign for this long, so that what one key opens is not more than a day or two.
pub const TICKET_LIFE: SignedDuration = SignedDuration::from_hours(12);
/// How long a new key only verifies: every edge has it by then.
pub const SETTLES: SignedDuration = SignedDuration::from_secs(60);

const KEY_BYTES: usize = 64;

/// Which list of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    Cookie,
    Ticket,
}

impl Use {
    pub const ALL: [Self; 2] = [Self::Cookie, Self::Ticket];

    /// The id of the list in the store.
    pub fn id(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Ticket => "ticket",
        }
    }

    fn place(self) -> String {
        format!("keys/{}", self.id())
    }

    /// After what time the signing key is replaced by itself. A cookie's key is replaced by people
    /// only: each time, whoever comes back later than [`KEPT`] keys allow loses their place.
    pub fn life(self) -> Option<SignedDuration> {
        match self {
            Self::Cookie => None,
            Self::Ticket => Some(TICKET_LIFE),
        }
    }
}

/// One list of keys as the store has it, the signing one first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeysFile {
    pub keys: Vec<StoredKey>,
    /// The one that will sign next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<StoredKey>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredKey {
    pub made_at: Timestamp,
    pub key: Sealed,
}

impl KeysFile {
    pub fn new(list: Use, sealing: &Sealing, now: Timestamp) -> Result<Self, Failure> {
        Ok(Self { keys: vec![StoredKey::new(list, sealing, now)?], next: None })
    }

    /// The list as it is published: those that sign or did, then the one that will.
    pub fn open(&self, list: Use, sealing: &Sealing) -> Result<Vec<SecretKey>, CannotOpen> {
        let keys = self.keys.iter().chain(&self.next);
        keys.map(|stored| sealing.reveal(&list.place(), &stored.key).map(SecretKey)).collect()
    }

    /// Brings in a new key that verifies from now on, and signs once it has settled.
    pub fn rotate(&mut self, list: Use, sealing: &Sealing, now: Timestamp) -> Result<(), Failure> {
        self.next = Some(StoredKey::new(list, sealing, now)?);
        Ok(())
    }

    /// What time alone brings about. True if anything changed.
    pub fn tend(&mut self, list: Use, sealing: &Sealing, now: Timestamp) -> Result<bool, Failure> {
        if self.next.as_ref().is_some_and(|next| now >= next.made_at + SETTLES) {
            self.keys.splice(0..0, self.next.take());
            self.keys.truncate(KEPT);
            return Ok(true);
        }
        let is_old = |life| self.keys.first().is_none_or(|first| now >= first.made_at + life - SETTLES);
        if self.next.is_none() && list.life().is_some_and(is_old) {
            self.rotate(list, sealing, now)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// When to tend to it next.
    pub fn tend_at(&self, list: Use) -> Option<Timestamp> {
        match (&self.next, list.life(), self.keys.first()) {
            (Some(next), _, _) => Some(next.made_at + SETTLES),
            (None, Some(life), Some(first)) => Some(first.made_at + life - SETTLES),
            _ => None,
        }
    }
}

impl StoredKey {
    fn new(list: Use, sealing: &Sealing, now: Timestamp) -> Result<Self, Failure> {
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key).map_err(|_| Failure::new(Exit::System, "this machine has no random numbers"))?;
        Ok(Self { made_at: now, key: sealing.seal(&list.place(), &key)? })
    }
}

impl Read for KeysFile {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let keys = fields.required::<Vec<StoredKey>>(reasons, "keys");
        let next = fields.optional(reasons, "next");
        fields.finish(reasons);
        let keys = keys?;
        if keys.is_empty() || keys.len() > KEPT {
            at.refuse(reasons, format!("found {} keys, wanted 1 to {KEPT}", keys.len()));
        }
        Some(Self { keys, next: next? })
    }
}

impl Read for StoredKey {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let made_at = time(&mut fields, reasons, "made_at");
        let key = fields.required(reasons, "key");
        fields.finish(reasons);
        Some(Self { made_at: made_at?.unwrap_or(Timestamp::UNIX_EPOCH), key: key? })
    }
}

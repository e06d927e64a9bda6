//! Session tickets that every edge with the same keys can open, and the next process too.
//!
//! A ticket is `version, salt, sealed session`. Each is sealed with a key of its own, derived from the
//! document's key and the salt, so that no number of tickets wears a key out.

#[cfg(test)]
mod tests;

use std::fmt::{self, Debug};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use karman_contract::document::{KeysDocument, SecretKey};
use rustls::server::ProducesTickets;

use crate::live::Live;

const VERSION: u8 = 1;
const SALT: usize = 32;
/// More than any session of ours takes.
const TICKET_BYTES_MAX: usize = 4_096;
/// How long a client may keep a ticket: the four keys that are kept, rotated every 12 hours.
const LIFETIME_SECONDS: u32 = 36 * 3_600;

/// The keys that seal tickets: the first seals, all open. Never shown.
#[derive(Clone, Default)]
pub struct TicketKeys(Vec<hmac::Key>);

impl TicketKeys {
    pub fn new(document: &KeysDocument) -> Self {
        Self(document.ticket.iter().map(|SecretKey(key)| hmac::Key::new(hmac::HMAC_SHA256, key)).collect())
    }

    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).ok()?;
        let key = derived(self.0.first()?, &salt)?;
        let mut sealed = session.to_vec();
        key.seal_in_place_append_tag(nonce(), Aad::from([VERSION]), &mut sealed).ok()?;
        Some([&[VERSION], &salt[..], &sealed].concat())
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = ticket.split_first().filter(|_| ticket.len() <= TICKET_BYTES_MAX)?;
        let (salt, sealed) = rest.split_at_checked(SALT).filter(|_| *version == VERSION)?;
        self.0.iter().find_map(|key| {
            let mut session = sealed.to_vec();
            let opened = derived(key, salt)?.open_in_place(nonce(), Aad::from([VERSION]), &mut session).ok()?.len();
            session.truncate(opened);
            Some(session)
        })
    }
}

fn derived(key: &hmac::Key, salt: &[u8]) -> Option<LessSafeKey> {
    let key = hmac::sign(key, salt);
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).ok()?))
}

/// A derived key seals once.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

impl Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// What rustls asks for tickets.
#[derive(Debug)]
pub(super) struct Tickets(Arc<Live<TicketKeys>>);

impl Tickets {
    pub(super) fn new(keys: Arc<Live<TicketKeys>>) -> Self {
        Self(keys)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        !self.0.pin().0.is_empty()
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.0.pin().seal(session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.0.pin().open(ticket)
    }
}

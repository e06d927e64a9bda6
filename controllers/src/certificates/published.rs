//! What `publish` makes of the entries of the controllers `certificates` and `keys`: the certificates and keys documents.
//!
//! Pure but for the opening of secrets. An entry that cannot be used is left out and named; the
//! others go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_contract::document::{Acme, Certificate, SecretKey};
use karman_contract::name::CertificateId;
use karman_contract::read::{Read, Reason};
use karman_contract::yaml::{FileMistakes, read_yaml};

use super::entry::CertificateFile;
use super::order::Order;
use crate::keys::account::{ACCOUNT, AccountFile};
use crate::keys::{KeysFile, Use};
use crate::sealing::{CannotOpen, Sealing};

/// One entry's id, its name in messages, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub id: &'a str,
    pub file: &'a str,
    pub text: &'a str,
}

/// The certificates document without its stamp.
#[derive(Debug, Default)]
pub struct Certificates {
    pub certificates: BTreeMap<CertificateId, Arc<Certificate>>,
    pub acme: Acme,
}

/// The keys document without its stamp.
#[derive(Debug, Default)]
pub struct Keys {
    pub cookie: Vec<SecretKey>,
    pub ticket: Vec<SecretKey>,
}

/// One entry of `certificates/` as proxies get it.
pub fn certificate(source: Source<'_>, sealing: &Sealing) -> Result<(CertificateId, Arc<Certificate>), FileMistakes> {
    let file: CertificateFile = read(source)?;
    let id = source.id.parse().map_err(|why: String| mistake(source, why))?;
    let certificate = file.open(source.id, sealing).map_err(|error| sealed(source, &error))?;
    Ok((id, Arc::new(certificate)))
}

/// What edges show to CAs, from the entries of `orders/` and `keys/`.
pub fn acme<'a>(
    orders: impl Iterator<Item = Source<'a>>,
    keys: impl Iterator<Item = Source<'a>>,
    sealing: &Sealing,
    mistakes: &mut Vec<FileMistakes>,
) -> Acme {
    let mut acme = Acme::default();
    for source in keys.filter(|source| source.id.starts_with(ACCOUNT)) {
        match read::<AccountFile>(source) {
            Ok(file) => acme.accounts.extend(file.thumbprints.iter().filter_map(|thumbprint| thumbprint.parse().ok())),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    for source in orders {
        let order: Order = match read(source) {
            Ok(order) => order,
            Err(mistake) => {
                mistakes.push(mistake);
                continue;
            }
        };
        for (host, challenge) in order.alpn() {
            match challenge.open(source.id, sealing) {
                Ok(challenge) => drop(acme.challenges.alpn.insert(host.clone(), challenge)),
                Err(error) => mistakes.push(sealed(source, &error)),
            }
        }
    }
    acme
}

/// The lists of keys, from the entries of `keys/`. None while there is no cookie key: a proxy then has its own. None either where
/// a list cannot be opened: what the proxies have of both goes on.
pub fn keys<'a>(sources: impl Iterator<Item = Source<'a>>, sealing: &Sealing, mistakes: &mut Vec<FileMistakes>) -> Option<Keys> {
    let (mut keys, mut is_whole) = (Keys::default(), true);
    for source in sources {
        let Some(list) = Use::ALL.into_iter().find(|list| list.id() == source.id) else { continue };
        let opened = read::<KeysFile>(source).and_then(|file| file.open(list, sealing).map_err(|error| sealed(source, &error)));
        match (opened, list) {
            (Ok(opened), Use::Cookie) => keys.cookie = opened,
            (Ok(opened), Use::Ticket) => keys.ticket = opened,
            (Err(mistake), _) => {
                mistakes.push(mistake);
                is_whole = false;
            }
        }
    }
    (is_whole && !keys.cookie.is_empty()).then_some(keys)
}

fn read<T: Read>(source: Source<'_>) -> Result<T, FileMistakes> {
    read_yaml(source.file, source.text)
}

fn sealed(source: Source<'_>, error: &CannotOpen) -> FileMistakes {
    mistake(source, format!("a secret cannot be opened: {error}"))
}

fn mistake(source: Source<'_>, why: String) -> FileMistakes {
    FileMistakes::new(source.file, "", vec![Reason::new("", why)])
}

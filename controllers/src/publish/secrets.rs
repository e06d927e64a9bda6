//! The certificates and keys of a store, opened for the proxies.
//!
//! What was opened once is kept until its entry changes: 100,000 private keys are not opened again
//! because one of them is new.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use karman_contract::document::{Acme, Certificate};
use karman_contract::name::CertificateId;
use karman_contract::yaml::FileMistakes;

use super::wanted::{Content, Items};
use crate::catalog::Catalog;
use crate::certificates::published::{self, Keys, Source};
use crate::sealing::Sealing;
use crate::store::{Entry, Key, Kind};

pub struct Secrets {
    key_file: PathBuf,
    /// Read when the first secret is there: a store without any needs no key.
    sealing: Option<Sealing>,
    certificates: BTreeMap<Key, Opened>,
    /// What was opened last, until some of it changes.
    published: Option<Published>,
}

struct Opened {
    entry: Arc<Entry>,
    id: CertificateId,
    certificate: Arc<Certificate>,
}

/// What the proxies should have of it.
#[derive(Clone, Default)]
pub struct Published {
    /// None while there is none, or one that cannot be opened and of which no good version is known:
    /// then each proxy keeps what it has.
    pub certificates: Option<Content<Certificate>>,
    pub keys: Option<Arc<Keys>>,
    pub mistakes: Vec<FileMistakes>,
}

impl Secrets {
    pub fn new(key_file: PathBuf) -> Self {
        Self { key_file, sealing: None, certificates: BTreeMap::new(), published: None }
    }

    /// From now on what was opened is not what the store has.
    pub fn changed(&mut self) {
        self.published = None;
    }

    /// Opens what the catalog has; what could not be opened is tried anew each time.
    pub fn open(&mut self, catalog: &Catalog) -> Published {
        if let Some(published) = self.published.as_ref().filter(|published| published.mistakes.is_empty()) {
            return published.clone();
        }
        let published = self.open_anew(catalog);
        self.published = Some(published.clone());
        published
    }

    fn open_anew(&mut self, catalog: &Catalog) -> Published {
        let entries = |kind| catalog.good_of_kind(kind);
        if [Kind::Certificate, Kind::Order, Kind::Keys].into_iter().all(|kind| entries(kind).next().is_none()) {
            return Published::default();
        }
        let sealing = match self.sealing.take() {
            Some(sealing) => sealing,
            None => match Sealing::open(&self.key_file) {
                Ok(sealing) => sealing,
                Err(failure) => {
                    let why = karman_contract::read::Reason::new("", failure.message);
                    let mistake = FileMistakes::new(self.key_file.display().to_string(), "", vec![why]);
                    return Published { mistakes: vec![mistake], ..Published::default() };
                }
            },
        };
        let mut mistakes = Vec::new();
        let items = self.open_certificates(catalog, &sealing, &mut mistakes);
        let acme = published::acme(sources(entries(Kind::Order)), sources(entries(Kind::Keys)), &sealing, &mut mistakes);
        let keys = published::keys(sources(entries(Kind::Keys)), &sealing, &mut mistakes).map(Arc::new);
        self.sealing = Some(sealing);
        let certificates = items.filter(|items| !items.is_empty() || acme != Acme::default());
        let certificates = certificates.map(|items| Content { items, beside: acme });
        Published { certificates, keys, mistakes }
    }

    fn open_certificates(
        &mut self,
        catalog: &Catalog,
        sealing: &Sealing,
        mistakes: &mut Vec<FileMistakes>,
    ) -> Option<Items<Certificate>> {
        let mut before = std::mem::take(&mut self.certificates);
        let mut is_whole = true;
        for (key, entry) in catalog.good_of_kind(Kind::Certificate) {
            let known = before.remove(key);
            let opened = match known {
                Some(known) if Arc::ptr_eq(&known.entry, entry) || known.entry.same(entry) => Some(known),
                known => match published::certificate(source(key, entry), sealing) {
                    Ok((id, certificate)) => Some(Opened { entry: Arc::clone(entry), id, certificate }),
                    Err(mistake) => {
                        mistakes.push(mistake);
                        // The version before it goes on, and is tried anew with the next change.
                        known
                    }
                },
            };
            match opened {
                Some(opened) => drop(self.certificates.insert(key.clone(), opened)),
                None => is_whole = false,
            }
        }
        let items = self.certificates.values().map(|opened| (opened.id.clone(), Arc::clone(&opened.certificate)));
        is_whole.then(|| items.collect())
    }
}

fn sources<'a>(entries: impl Iterator<Item = (&'a Key, &'a Arc<Entry>)>) -> impl Iterator<Item = Source<'a>> {
    entries.map(|(key, entry)| source(key, entry))
}

fn source<'a>(key: &'a Key, entry: &'a Entry) -> Source<'a> {
    Source { id: &key.id, file: &entry.file, text: &entry.text }
}

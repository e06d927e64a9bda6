//! What the store says that has to do with certificates, kept up to date from its news.

use std::collections::BTreeMap;

use jiff::Timestamp;
use karman_contract::name::{Host, HostPattern};
use karman_contract::read::Read;
use karman_contract::yaml::{FileMistakes, read_yaml};

use super::entry::CertificateFile;
use super::need::{Need, needs};
use super::order::Order;
use super::settings::Settings;
use crate::catalog::Catalog;
use crate::keys::account::{ACCOUNT, AccountFile, LOCAL_CA, LocalCaFile};
use crate::store::entry::Content;
use crate::store::{Found, Key, Kind, News, Reading, Seen, Store, StoreError};

#[derive(Default)]
pub struct View {
    catalog: Catalog,
    pub certificates: BTreeMap<String, CertificateFile>,
    pub orders: BTreeMap<String, Order>,
    pub accounts: BTreeMap<String, AccountFile>,
    pub local_ca: Option<LocalCaFile>,
    /// Entries of ours that cannot be read; what they were stays out of every decision.
    pub mistakes: BTreeMap<Key, FileMistakes>,
}

impl View {
    pub const KINDS: [Kind; 8] =
        [Kind::Platform, Kind::Defaults, Kind::Plan, Kind::App, Kind::State, Kind::Certificate, Kind::Order, Kind::Keys];

    /// Reads all of it once.
    pub async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let Reading { entries, revision } = store.read(&Self::KINDS).await?;
        let mut view = Self::default();
        view.take(News { all: true, seen: entries.into_iter().collect(), revision }, Timestamp::now());
        Ok(view)
    }

    pub fn take(&mut self, news: News, now: Timestamp) {
        let News { all, mut seen, .. } = news;
        if all {
            let gone: Vec<_> = self.catalog.keys().filter(|key| !seen.contains_key(*key)).cloned().collect();
            seen.extend(gone.into_iter().map(|key| (key, Seen::Nothing)));
            self.certificates.clear();
            self.orders.clear();
            self.accounts.clear();
            self.local_ca = None;
            self.mistakes.clear();
        }
        let mut apps = Vec::new();
        for (key, seen) in seen {
            match key.kind {
                Kind::Certificate => keep(&mut self.certificates, &mut self.mistakes, &key, &key.id, &seen),
                Kind::Order => keep(&mut self.orders, &mut self.mistakes, &key, &key.id, &seen),
                Kind::Keys => self.take_keys(&key, &seen),
                _ => {
                    let found = Found::read(&key, seen);
                    apps.push((key, found));
                }
            }
        }
        self.catalog.update(apps, now);
    }

    fn take_keys(&mut self, key: &Key, seen: &Seen) {
        if let Some(ca) = key.id.strip_prefix(ACCOUNT) {
            keep(&mut self.accounts, &mut self.mistakes, key, ca, seen);
        } else if &*key.id == LOCAL_CA {
            let mut found = BTreeMap::new();
            keep(&mut found, &mut self.mistakes, key, LOCAL_CA, seen);
            self.local_ca = found.remove(LOCAL_CA);
        }
    }

    pub fn settings(&self) -> Settings {
        let platform = self.catalog.entry(&Key::single(Kind::Platform));
        match platform.map(|entry| &entry.content) {
            Some(Content::Platform(platform)) => platform.certificates.clone().unwrap_or_else(Settings::none),
            _ => Settings::none(),
        }
    }

    fn domain(&self) -> Option<&Host> {
        match &self.catalog.entry(&Key::single(Kind::Platform))?.content {
            Content::Platform(platform) => platform.domain.as_ref(),
            _ => None,
        }
    }

    /// Every host of every app.
    pub fn hosts(&self) -> Vec<HostPattern> {
        self.catalog.apps().values().flat_map(|app| app.hosts.iter().cloned()).collect()
    }

    pub fn needs(&self, settings: &Settings) -> BTreeMap<String, Need> {
        let apps = self.catalog.apps().iter().map(|(id, app)| (id, app.as_ref()));
        needs(apps, self.domain(), settings)
    }
}

fn keep<T: Read>(kept: &mut BTreeMap<String, T>, mistakes: &mut BTreeMap<Key, FileMistakes>, key: &Key, id: &str, seen: &Seen) {
    mistakes.remove(key);
    let mistake = match seen {
        Seen::Text(text) => match read_yaml(&text.file, &text.text) {
            Ok(read) => return drop(kept.insert(id.to_owned(), read)),
            Err(mistake) => Some(mistake),
        },
        Seen::Unreadable(mistake) => Some(mistake.clone()),
        Seen::Nothing => None,
    };
    kept.remove(id);
    mistakes.extend(mistake.map(|mistake| (key.clone(), mistake)));
}

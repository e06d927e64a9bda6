//! The catalog: what the store says, with each entry's last good version, and the apps that follow.
//!
//! Nothing here reads a file or a clock. An entry that cannot be used keeps the version before it
//! and is named among the mistakes; it never holds back another app.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use karman_contract::app::{App, Deny};
use karman_contract::document::Page;
use karman_contract::name::{AppId, ContentHash};
use karman_contract::read::Reason;
use karman_contract::yaml::FileMistakes;

use crate::layer;
use crate::shared_map::SharedMap;
use crate::store::{Entry, Found, Key, Kind};

pub mod hosts;
mod settle;
#[cfg(test)]
mod tests;

use hosts::Hosts;

#[derive(Default)]
pub struct Catalog {
    slots: BTreeMap<Key, Slot>,
    apps: SharedMap<AppId, App>,
    pages: SharedMap<ContentHash, Page>,
    hosts: Hosts,
    mistakes: BTreeMap<Key, FileMistakes>,
    /// Apps whose newest file asks for a host that another app has; looked at again with every change.
    waiting: BTreeSet<AppId>,
    /// Apps that stand in the store, and of which no version can be used.
    unusable: BTreeSet<AppId>,
    /// When the states in use run out of time.
    expiries: BTreeSet<(Timestamp, AppId)>,
}

#[derive(Default)]
struct Slot {
    /// What stands in the store.
    found: Found,
    /// What is in use: the same, or the last good version of it.
    good: Option<Arc<Entry>>,
}

/// Entries whose version in use has changed.
pub type Accepted = BTreeMap<Key, Turn>;

/// What was in use of an entry, and what is now; `None` is nothing.
#[derive(Clone, Debug)]
pub struct Turn {
    pub before: Option<Arc<Entry>>,
    pub now: Option<Arc<Entry>>,
}

impl Catalog {
    /// Starts from the last good versions that were remembered; the first update puts them to use.
    pub fn remembering(good: impl IntoIterator<Item = (Key, Arc<Entry>)>) -> Self {
        let slot = |entry| Slot { found: Found::Nothing, good: Some(entry) };
        Self { slots: good.into_iter().map(|(key, entry)| (key, slot(entry))).collect(), ..Self::default() }
    }

    /// The apps as the proxies should have them.
    pub fn apps(&self) -> &SharedMap<AppId, App> {
        &self.apps
    }

    /// Apps that stand in the store, and of which no version can be used.
    pub fn unusable_apps(&self) -> &BTreeSet<AppId> {
        &self.unusable
    }

    /// What all apps share, that stands in the store and of which no version can be used.
    pub fn unusable_shared(&self) -> Option<&Key> {
        let defaults = self.of_kind(Kind::Defaults).chain(self.of_kind(Kind::Deny));
        defaults.filter(|(_, slot)| matches!(slot.found, Found::Broken(_)) && slot.good.is_none()).map(|(key, _)| key).next()
    }

    /// The networks that are kept from an app.
    pub fn denied(&self, id: &AppId) -> impl Iterator<Item = &Deny> {
        let entries = self.of_kind(Kind::Deny).filter_map(|(_, slot)| slot.good.as_ref()?.deny());
        entries.filter(move |entry| entry.app.as_ref().is_none_or(|app| app == id)).map(|entry| &entry.deny)
    }

    /// Every page of the store that can be used, by its content.
    pub fn pages(&self) -> &SharedMap<ContentHash, Page> {
        &self.pages
    }

    /// The entries of a kind that are in use.
    pub fn good_of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Arc<Entry>)> {
        self.of_kind(kind).filter_map(|(key, slot)| Some((key, slot.good.as_ref()?)))
    }

    /// What is wrong in the store, by the entry that it is wrong in.
    pub fn mistakes(&self) -> &BTreeMap<Key, FileMistakes> {
        &self.mistakes
    }

    /// The version of an entry that is in use.
    pub fn entry(&self, key: &Key) -> Option<&Arc<Entry>> {
        self.slots.get(key)?.good.as_ref()
    }

    /// The keys that something stands under, or that are still in use.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.slots.keys()
    }

    /// When the next state runs out of time.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(until, _)| *until)
    }

    /// Takes in what was found under some keys, and says which entries in use have changed by it.
    pub fn update(&mut self, looked: Vec<(Key, Found)>, now: Timestamp) -> Accepted {
        let mut accepted = Accepted::new();
        let mut dirty = std::mem::take(&mut self.waiting);
        dirty.extend(self.expired(now));
        let (mut all, mut pages) = (false, false);
        for (key, found) in looked {
            if key.kind == Kind::Deny {
                all |= self.concerned_by_deny(&key, &found, &mut dirty);
            }
            self.slots.entry(key.clone()).or_default().found = found;
            match key.app() {
                Some(id) => drop(dirty.insert(id)),
                None => {
                    pages |= key.kind == Kind::Page;
                    all |= pages || matches!(key.kind, Kind::Defaults | Kind::Plan);
                    self.settle_shared(&key, &mut accepted);
                }
            }
        }
        if all {
            dirty.extend(self.of_kind(Kind::App).filter_map(|(key, _)| key.app()));
        }
        self.settle_apps(&dirty, now, &mut accepted);
        if all {
            self.name_missing_pages_of_shared();
        }
        if pages {
            self.pages = self.good_of_kind(Kind::Page).filter_map(|(_, entry)| entry.page()).collect();
        }
        self.drop_unused_plans(&mut accepted);
        accepted
    }

    /// Whom a block concerns, before and after it changes: a few, or (true) all.
    fn concerned_by_deny(&self, key: &Key, found: &Found, dirty: &mut BTreeSet<AppId>) -> bool {
        let versions = [self.entry(key), found.entry()].into_iter().flatten().filter_map(|entry| entry.deny());
        let mut all = false;
        for version in versions {
            match &version.app {
                Some(app) => drop(dirty.insert(app.clone())),
                None => all = true,
            }
        }
        all
    }

    /// Puts to use what no single app is concerned by.
    fn settle_shared(&mut self, key: &Key, accepted: &mut Accepted) {
        self.mistakes.remove(key);
        let good = match self.found(key) {
            Found::Broken(mistakes) => {
                self.mistakes.insert(key.clone(), mistakes);
                return;
            }
            // A plan is kept until no app is on it.
            Found::Nothing if key.kind == Kind::Plan => return,
            Found::Nothing => None,
            Found::Entry(entry) => Some(entry),
        };
        self.accept(key, good, accepted);
    }

    fn drop_unused_plans(&mut self, accepted: &mut Accepted) {
        let gone = self.of_kind(Kind::Plan).filter(|(_, slot)| matches!(slot.found, Found::Nothing) && slot.good.is_some());
        for key in gone.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            let mut apps = self.of_kind(Kind::App).filter_map(|(_, slot)| slot.good.as_ref());
            let user = apps.find(|entry| entry.plan().is_some_and(|plan| plan.name == *key.id)).map(|entry| entry.file.clone());
            drop(apps);
            match user {
                Some(file) => {
                    let why = format!("the file is gone and {file} is still on this plan; what it said last goes on");
                    self.mistakes.insert(key.clone(), gone_mistake(&key, why));
                }
                None => {
                    self.mistakes.remove(&key);
                    self.accept(&key, None, accepted);
                }
            }
        }
    }

    /// A page that is not there harms nobody: the edge has its own. But somebody meant it to be there.
    fn name_missing_pages(&mut self, key: &Key) {
        let exists = |id: &str| self.entry(&Key::new(Kind::Page, id)).is_some();
        let Some(entry) = self.entry(key).filter(|_| !self.mistakes.contains_key(key)) else { return };
        let reasons = entry.layer().map(|node| layer::missing_pages(node, exists)).unwrap_or_default();
        if !reasons.is_empty() {
            let mistakes = entry.mistakes(reasons);
            self.mistakes.insert(key.clone(), mistakes);
        }
    }

    fn name_missing_pages_of_shared(&mut self) {
        let shared = [Kind::Defaults, Kind::Plan].into_iter().flat_map(|kind| self.of_kind(kind));
        let whole = shared.filter(|(_, slot)| slot.found.entry().is_some());
        for key in whole.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.mistakes.remove(&key);
            self.name_missing_pages(&key);
        }
    }

    fn accept(&mut self, key: &Key, good: Option<Arc<Entry>>, accepted: &mut Accepted) {
        let is_same = match (self.entry(key), &good) {
            (Some(before), Some(now)) => before.same(now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if !is_same {
            let before = || Turn { before: self.entry(key).cloned(), now: None };
            accepted.entry(key.clone()).or_insert_with(before).now.clone_from(&good);
        }
        if let (Kind::State, Some(id)) = (key.kind, key.app()) {
            if let Some(until) = self.entry(key).and_then(|before| before.until()) {
                self.expiries.remove(&(until, id.clone()));
            }
            self.expiries.extend(good.as_ref().and_then(|good| good.until()).map(|until| (until, id)));
        }
        if good.is_none() && matches!(self.found(key), Found::Nothing) {
            self.slots.remove(key);
        } else {
            self.slots.entry(key.clone()).or_default().good = good;
        }
    }

    fn found(&self, key: &Key) -> Found {
        self.slots.get(key).map(|slot| slot.found.clone()).unwrap_or_default()
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Slot)> + Clone {
        self.slots.range(Key::single(kind)..).take_while(move |(key, _)| key.kind == kind)
    }
}

fn gone_mistake(key: &Key, why: String) -> FileMistakes {
    FileMistakes::new(format!("{key}.yaml"), "", vec![Reason::new("", why)])
}

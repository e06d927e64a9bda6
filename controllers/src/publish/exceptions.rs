//! What a proxy does not take, and what it keeps instead, so that everything else goes through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_contract::app::App;
use karman_contract::name::AppId;
use karman_contract::read::Reason;

use super::decide::Items;

#[derive(Debug, Default)]
pub struct Exceptions {
    refused: BTreeMap<AppId, RefusedApp>,
    removal: Option<Removal>,
    /// Apps of the store that cannot be used at all.
    unknown: BTreeSet<AppId>,
}

/// A version of an app that the proxy refused; it keeps the one it has.
#[derive(Clone, Debug)]
pub struct RefusedApp {
    pub version: Arc<App>,
    pub reasons: Vec<Reason>,
}

/// Apps that are gone from the store and that the proxy keeps until somebody says that this is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub apps: BTreeSet<AppId>,
    pub of: usize,
    /// The store may have lost them with its data. It comes back bit by bit, so only a word ends this for those
    /// that are still missing, whoever starts anew meanwhile.
    pub after_loss: bool,
}

impl Exceptions {
    /// What to send: what the store says, but for what the proxy is known to refuse.
    pub fn apply(&mut self, apps: &Items<App>, has: &Items<App>) -> Items<App> {
        // A new version gets its chance, and so does another set of removals.
        self.refused.retain(|id, refused| apps.get(id) == Some(&refused.version));
        if self.removal.as_ref().is_some_and(|removal| !removal.after_loss && removal.apps != self.gone(apps, has)) {
            self.removal = None;
        }
        self.retain_removal(|id| !apps.contains_key(id));
        let kept: Vec<_> = self.kept().cloned().collect();
        if kept.is_empty() {
            return apps.clone();
        }
        let mut wanted = apps.clone();
        for id in kept {
            match has.get(&id) {
                Some(app) => drop(wanted.insert(id, Arc::clone(app))),
                None => drop(wanted.remove(&id)),
            }
        }
        wanted
    }

    /// The apps that stay as the proxy has them.
    pub fn kept(&self) -> impl Iterator<Item = &AppId> {
        self.refused.keys().chain(self.removal.iter().flat_map(|removal| &removal.apps)).chain(&self.unknown)
    }

    /// Which apps of the store cannot be used at all.
    pub fn leave(&mut self, unknown: &BTreeSet<AppId>) {
        if self.unknown != *unknown {
            self.unknown.clone_from(unknown);
        }
    }

    /// Takes note of the apps that a refusal names. False if it names none that was sent.
    pub fn refuse(&mut self, apps: &Items<App>, reasons: &[Reason]) -> bool {
        let mut by_app: BTreeMap<AppId, Vec<Reason>> = BTreeMap::new();
        for reason in reasons {
            let Some(id) = named_app(&reason.at).filter(|id| apps.contains_key(id) && !self.refused.contains_key(id)) else {
                continue;
            };
            by_app.entry(id).or_default().push(reason.clone());
        }
        let found = !by_app.is_empty();
        let refused = by_app.into_iter().filter_map(|(id, reasons)| {
            let version = Arc::clone(apps.get(&id)?);
            Some((id, RefusedApp { version, reasons }))
        });
        self.refused.extend(refused);
        found
    }

    /// Takes note that the proxy doubts these removals. False if nothing is being removed.
    pub fn hold_removal(&mut self, apps: &Items<App>, has: &Items<App>) -> bool {
        let apps = self.gone(apps, has);
        let found = !apps.is_empty();
        let after_loss = self.removal.as_ref().is_some_and(|removal| removal.after_loss);
        self.removal = Some(Removal { apps, of: has.len(), after_loss });
        found
    }

    /// Takes note of what the store may have lost. Whether any of it is new.
    pub fn hold_after_loss(&mut self, apps: BTreeSet<AppId>, of: usize) -> bool {
        let before = self.removal.take().filter(|removal| removal.after_loss);
        let is_known = before.is_some_and(|before| apps.is_subset(&before.apps));
        let is_new = !apps.is_empty() && !is_known;
        self.removal = Some(Removal { apps, of, after_loss: true });
        is_new
    }

    /// What the proxy does not have, it cannot keep.
    pub fn keep_what_is_there(&mut self, has: &Items<App>) {
        self.retain_removal(|id| has.contains_key(id));
    }

    fn retain_removal(&mut self, is_held: impl Fn(&AppId) -> bool) {
        if let Some(removal) = &mut self.removal {
            removal.apps.retain(|id| is_held(id));
        }
        self.removal = self.removal.take().filter(|removal| !removal.apps.is_empty());
    }

    pub fn refused(&self) -> &BTreeMap<AppId, RefusedApp> {
        &self.refused
    }

    pub fn removal(&self) -> Option<&Removal> {
        self.removal.as_ref()
    }

    /// A proxy that was started anew may be another release: it is asked again.
    pub fn forget(&mut self) {
        let removal = self.removal.take().filter(|removal| removal.after_loss);
        *self = Self { removal, unknown: std::mem::take(&mut self.unknown), ..Self::default() };
    }

    /// What was refused because of an app that goes now is asked again.
    pub fn allow_removal(&mut self) {
        if self.removal.take().is_some() {
            self.refused.clear();
        }
    }

    /// The apps that the proxy has and the store has no more.
    pub fn gone(&self, apps: &Items<App>, has: &Items<App>) -> BTreeSet<AppId> {
        let gone = has.changes(apps).filter(|change| change.after.is_none()).map(|change| change.key);
        gone.filter(|id| !self.unknown.contains(*id)).cloned().collect()
    }
}

/// The app in `apps.todos.hosts[1]` or `put.todos`. An id holds neither dot nor bracket.
fn named_app(at: &str) -> Option<AppId> {
    let rest = at.strip_prefix("apps.").or_else(|| at.strip_prefix("put."))?;
    rest.split(['.', '[']).next()?.parse().ok()
}

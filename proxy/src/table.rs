//! The app table: every app of the edge, found by host. Built beside the live one, or refused.

mod app;
pub mod shards;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::{Arc, OnceLock};

use karman_contract::app::App as Wire;
use karman_contract::document::{AppsDelta, AppsDocument, Stamp, hash_items, write_items};
use karman_contract::name::{AppId, Host, HostPattern};
use karman_contract::read::Reason;

pub use self::app::{App, Instance};
use crate::documents::Table;
use crate::table::shards::Shards;

/// What a change did to one app: what it was, and what it is now.
#[derive(Clone, Debug)]
pub struct Change {
    pub before: Option<Arc<App>>,
    pub after: Option<Arc<App>>,
}

/// One immutable table. A request pins one for its whole life.
#[derive(Clone, Debug, Default)]
pub struct Apps {
    pub stamp: Option<Stamp>,
    apps: Shards<AppId, Arc<App>>,
    exact: Shards<Host, Arc<App>>,
    /// By the domain that the wildcard stands before.
    below: Shards<Host, Arc<App>>,
    hash: OnceLock<String>,
}

impl Apps {
    pub fn get(&self, id: &str) -> Option<&Arc<App>> {
        self.apps.get(id)
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.apps.iter().map(|(_, app)| app)
    }

    /// In the order of their ids.
    pub fn sorted(&self) -> Vec<&Arc<App>> {
        let mut apps: Vec<_> = self.iter().collect();
        apps.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        apps
    }

    /// The app that has this host: by its exact name, else by the longest wildcard above it.
    /// `host` is in lower case, without port.
    pub fn find(&self, host: &str) -> Option<&Arc<App>> {
        if let Some(app) = self.exact.get(host) {
            return Some(app);
        }
        domains_above(host).find_map(|domain| self.below.get(domain))
    }
}

impl Table for Apps {
    type Item = Wire;
    type Change = Change;

    fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    fn len(&self) -> usize {
        self.apps.len()
    }

    fn has(&self, id: &AppId) -> bool {
        self.get(id.as_str()).is_some()
    }

    fn holds(&self, id: &AppId, wire: &Wire) -> bool {
        self.get(id.as_str()).is_some_and(|app| app.wire == *wire)
    }

    fn beside(&self) -> &() {
        &()
    }

    fn hash(&self) -> &str {
        self.hash.get_or_init(|| {
            let sorted = self.sorted();
            hash_items::<Wire>(self.stamp.unwrap_or_default(), Vec::new(), sorted.iter().map(|app| (&app.id, &app.wire)))
        })
    }

    fn write(&self, out: &mut dyn Write) {
        let sorted = self.sorted();
        write_items::<Wire>(out, self.stamp.unwrap_or_default(), Vec::new(), sorted.iter().map(|app| (&app.id, &app.wire)));
    }

    fn removed_by(&self, document: &AppsDocument) -> usize {
        self.iter().filter(|app| !document.items.contains_key(&app.id)).count()
    }

    /// Apps that did not change are shared with this table.
    fn replaced_by(&self, document: AppsDocument) -> Result<(Self, Vec<Change>), Vec<Reason>> {
        let mut next = Self { stamp: Some(document.stamp), ..Self::default() };
        let mut changes = Vec::new();
        let mut reasons = Vec::new();
        for app in self.iter().filter(|app| !document.items.contains_key(&app.id)) {
            changes.push(Change { before: Some(Arc::clone(app)), after: None });
        }
        for (id, wire) in document.items {
            let before = self.get(id.as_str());
            let app = match before {
                Some(before) if before.wire == wire => Arc::clone(before),
                _ => {
                    let app = Arc::new(App::new(id, wire, before.map(Arc::as_ref)));
                    changes.push(Change { before: before.cloned(), after: Some(Arc::clone(&app)) });
                    app
                }
            };
            next.claim_hosts(&app, "apps", &mut reasons);
            next.apps.insert(app.id.clone(), app);
        }
        next.refuse_hosts_below_others(next.iter(), "apps", &mut reasons);
        if reasons.is_empty() { Ok((next, changes)) } else { Err(reasons) }
    }

    fn changed_by(&self, delta: AppsDelta) -> Result<(Self, Vec<Change>), Vec<Reason>> {
        let mut next = Self { stamp: Some(delta.stamp), hash: OnceLock::new(), ..self.clone() };
        let mut changes = Vec::new();
        let mut reasons = Vec::new();
        // All that goes goes first, so that a host can move from one app to another in one delta.
        for id in delta.remove.iter().chain(delta.put.keys()) {
            if let Some(app) = next.apps.remove(id.as_str()) {
                next.release_hosts(&app);
            }
        }
        for id in &delta.remove {
            changes.extend(self.get(id.as_str()).map(|app| Change { before: Some(Arc::clone(app)), after: None }));
        }
        let mut claimed = Vec::with_capacity(delta.put.len());
        for (id, wire) in delta.put {
            let before = self.get(id.as_str());
            let app = Arc::new(App::new(id, wire, before.map(Arc::as_ref)));
            next.claim_hosts(&app, "put", &mut reasons);
            next.apps.insert(app.id.clone(), Arc::clone(&app));
            changes.push(Change { before: before.cloned(), after: Some(Arc::clone(&app)) });
            claimed.push(app);
        }
        next.refuse_hosts_below_others(claimed.iter(), "put", &mut reasons);
        next.refuse_wildcards_above_others(&claimed, self, &mut reasons);
        if reasons.is_empty() { Ok((next, changes)) } else { Err(reasons) }
    }
}

impl Apps {
    fn claim_hosts(&mut self, app: &Arc<App>, at: &str, reasons: &mut Vec<Reason>) {
        for (index, pattern) in app.wire.hosts.iter().enumerate() {
            let holder = match pattern {
                HostPattern::Exact(host) => self.exact.insert(host.clone(), Arc::clone(app)),
                HostPattern::Below(domain) => self.below.insert(domain.clone(), Arc::clone(app)),
            };
            if let Some(holder) = holder.filter(|holder| holder.id != app.id) {
                reasons.push(Reason::new(
                    format!("{at}.{}.hosts[{index}]", app.id),
                    format!("the host '{pattern}' belongs to the app '{}'", holder.id),
                ));
            }
        }
    }

    fn release_hosts(&mut self, app: &App) {
        for pattern in &app.wire.hosts {
            match pattern {
                HostPattern::Exact(host) => self.exact.remove(host.as_str()),
                HostPattern::Below(domain) => self.below.remove(domain.as_str()),
            };
        }
    }

    fn refuse_hosts_below_others<'a>(&self, apps: impl Iterator<Item = &'a Arc<App>>, at: &str, reasons: &mut Vec<Reason>) {
        if self.below.is_empty() {
            return;
        }
        for app in apps {
            for (index, pattern) in app.wire.hosts.iter().enumerate() {
                let above = domains_above(pattern.name()).find_map(|domain| Some((domain, self.below.get(domain)?)));
                let Some((domain, holder)) = above.filter(|(_, holder)| holder.wire.owner != app.wire.owner) else {
                    continue;
                };
                reasons.push(Reason::new(
                    format!("{at}.{}.hosts[{index}]", app.id),
                    format!("the host '{pattern}' lies below '*.{domain}' of the app '{}', which has another owner", holder.id),
                ));
            }
        }
    }

    /// A new wildcard is rare, so it may look at every host; nothing else does.
    fn refuse_wildcards_above_others(&self, claimed: &[Arc<App>], before: &Self, reasons: &mut Vec<Reason>) {
        let mut wildcards = Vec::new();
        for app in claimed {
            for (index, pattern) in app.wire.hosts.iter().enumerate() {
                match pattern {
                    HostPattern::Below(domain)
                        if before.below.get(domain.as_str()).is_none_or(|was| was.wire.owner != app.wire.owner) =>
                    {
                        wildcards.push((domain, app, index));
                    }
                    _ => {}
                }
            }
        }
        if wildcards.is_empty() {
            return;
        }
        for (host, holder) in self.exact.iter().chain(self.below.iter()) {
            for (domain, app, index) in &wildcards {
                if holder.wire.owner != app.wire.owner && domains_above(host.as_str()).any(|above| above == domain.as_str()) {
                    reasons.push(Reason::new(
                        format!("put.{}.hosts[{index}]", app.id),
                        format!("'{host}' below it belongs to the app '{}', which has another owner", holder.id),
                    ));
                }
            }
        }
    }
}

/// The domains that a wildcard above `host` could stand before, longest first.
fn domains_above(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').filter_map(|(dot, _)| host.get(dot + 1..))
}

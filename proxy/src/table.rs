//! The app table: every app of the edge, found by host. Built beside the live one, or refused.

pub mod shards;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use karman_contract::app::{App as Wire, DrainSticky, InstanceState};
use karman_contract::document::{AppsDelta, AppsDocument, Stamp, hash_items, write_items};
use karman_contract::name::{AppId, Host, HostPattern, InstanceId};
use karman_contract::read::Reason;
use sha2::{Digest, Sha256};

use crate::balance::warmth;
use crate::documents::Table;
use crate::table::shards::Shards;
use crate::vitals::{AppVitals, InstanceVitals, Which};

/// An app, ready to be routed to.
#[derive(Debug)]
pub struct App {
    pub id: AppId,
    /// As its document says it.
    pub wire: Wire,
    pub instances: Vec<Instance>,
    pub vitals: Arc<AppVitals>,
}

/// An instance of an app in one table; its vitals outlive the table.
#[derive(Clone, Debug)]
pub struct Instance {
    pub id: InstanceId,
    pub release: u64,
    pub state: InstanceState,
    /// Names the instance within its app in a cookie, without telling its id.
    pub tag: u64,
    pub vitals: Arc<InstanceVitals>,
}

impl Instance {
    /// Whether a client that was never here may be sent here.
    pub fn takes_new_clients(&self) -> bool {
        self.state == InstanceState::Ready && !self.vitals.is_given_up()
    }

    /// Whether it takes new clients now.
    pub fn takes(&self) -> bool {
        self.takes_new_clients() && self.vitals.usable()
    }

    /// Whether a client that is bound to this instance stays.
    pub fn keeps_clients(&self, sticky: DrainSticky) -> bool {
        match self.state {
            InstanceState::Ready => true,
            InstanceState::Draining => sticky == DrainSticky::Keep,
            InstanceState::Starting => false,
        }
    }
}

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

impl App {
    /// Takes over the vitals of the app and of the instances that stay at their addresses.
    fn new(id: AppId, wire: Wire, before: Option<&Self>) -> Self {
        let instances = wire
            .instances
            .iter()
            .map(|(instance, wire)| {
                let before = before.and_then(|app| app.instance(instance));
                let vitals = match before.filter(|before| before.vitals.address == wire.address) {
                    Some(before) => Arc::clone(&before.vitals),
                    None => Arc::new(InstanceVitals::new(id.clone(), instance.clone(), wire.address)),
                };
                Instance { id: instance.clone(), release: wire.release, state: wire.state, tag: tag(instance), vitals }
            })
            .collect();
        let vitals = before.map_or_else(Arc::default, |before| Arc::clone(&before.vitals));
        Self { id, wire, instances, vitals }
    }

    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        // Instances stand in the order of their ids.
        let index = self.instances.binary_search_by(|instance| instance.id.cmp(id)).ok()?;
        self.instances.get(index)
    }

    /// How much of its share one of its instances takes, 0 to 1: less while it is new.
    pub fn warmth(&self, vitals: &InstanceVitals) -> f64 {
        warmth(vitals.ready_for(), Duration::from_secs(self.wire.warm_seconds.into()))
    }

    /// Whether an instance beside these takes new clients now.
    pub fn takes_beside(&self, these: &[Arc<InstanceVitals>]) -> bool {
        self.instances.iter().any(|one| one.takes() && !these.iter().any(|other| Arc::ptr_eq(other, &one.vitals)))
    }

    /// Whether this instance, at this address, is still part of the app.
    pub fn has(&self, vitals: &Arc<InstanceVitals>) -> bool {
        self.instances.iter().any(|instance| Arc::ptr_eq(&instance.vitals, vitals))
    }

    /// All that counts something of an instance at its address: it may have left the app and come back.
    pub fn vitals_of<'a>(&'a self, of: &'a Which) -> impl Iterator<Item = Arc<InstanceVitals>> + 'a {
        let departed = self.vitals.departed().into_iter().map(|(_, vitals)| vitals);
        let all = self.instances.iter().map(|instance| Arc::clone(&instance.vitals)).chain(departed);
        all.filter(|vitals| of.is(vitals))
    }

    /// Whether one release is taking over from another: some instances come or go, and none serves.
    pub fn is_rolling(&self) -> bool {
        !self.instances.is_empty() && !self.instances.iter().any(Instance::takes_new_clients)
    }
}

fn tag(id: &InstanceId) -> u64 {
    let digest = Sha256::digest(id.as_str());
    digest.iter().take(8).fold(0, |tag, byte| tag << 8 | u64::from(*byte))
}

/// The domains that a wildcard above `host` could stand before, longest first.
fn domains_above(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').filter_map(|(dot, _)| host.get(dot + 1..))
}

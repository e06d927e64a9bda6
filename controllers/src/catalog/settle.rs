//! Which version of each of an app's entries is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use karman_contract::app::App;
use karman_contract::name::{AppId, HostPattern};
use karman_contract::read::{Reason, Value, quoted};
use karman_contract::yaml::FileMistakes;

use super::hosts::{Contender, Lost, Version};
use super::{Accepted, Catalog};
use crate::compose::{Layers, compose};
use crate::cores::on_all_cores;
use crate::layer;
use crate::store::{Entry, Found, Key, Kind};

/// A version of an app's own file, with the app that it gives.
struct Candidate {
    entry: Arc<Entry>,
    app: Arc<App>,
    in_use: bool,
}

impl Catalog {
    /// Apps whose state has run out of time.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<AppId> {
        self.expiries.iter().take_while(|(until, _)| *until <= now).map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn settle_apps(&mut self, dirty: &BTreeSet<AppId>, now: Timestamp, accepted: &mut Accepted) {
        for id in dirty {
            for kind in [Kind::App, Kind::State, Kind::Instances, Kind::Draining] {
                self.name_broken(&Key::of(kind, id));
            }
            let state = self.usable(&Key::of(Kind::State, id)).filter(|entry| !is_over(entry, now));
            self.accept(&Key::of(Kind::State, id), state, accepted);
            let draining = self.usable(&Key::of(Kind::Draining, id));
            self.accept(&Key::of(Kind::Draining, id), draining, accepted);
            if let Some(app) = self.apps.get(id) {
                self.hosts.release(app);
            }
        }
        let composed = on_all_cores(dirty.iter().collect(), |id| (id, self.candidates(id)));
        let mut candidates = BTreeMap::new();
        for (id, (versions, mistakes)) in composed {
            candidates.insert(id.clone(), versions);
            self.mistakes.extend(mistakes.map(|mistakes| (Key::of(Kind::App, id), mistakes)));
        }

        let contenders: BTreeMap<_, _> = candidates.iter().map(|(id, candidates)| (id.clone(), contender(candidates))).collect();
        for (id, settled) in self.hosts.settle(&contenders) {
            if let Some(lost) = settled.lost {
                self.name_lost(&id, &lost);
                self.waiting.insert(id.clone());
            }
            let version = settled.version.zip(candidates.remove(&id));
            let chosen = version.and_then(|(version, candidates)| candidates.into_iter().nth(version));
            self.use_version(&id, chosen, accepted);
        }
    }

    /// The versions of an app's own file that could be in use, best first; and what is wrong with the newest.
    fn candidates(&self, id: &AppId) -> (Vec<Candidate>, Option<FileMistakes>) {
        let key = Key::of(Kind::App, id);
        let found = self.found(&key);
        if let Found::Nothing = found {
            return (Vec::new(), None);
        }
        let (mut candidates, mut mistakes) = (Vec::new(), None);
        let good = self.entry(&key).cloned();
        if let Some(entry) = found.entry() {
            let in_use = good.as_ref().is_some_and(|good| good.same(entry));
            match self.compose(id, entry, in_use) {
                Ok(app) => candidates.push(Candidate { entry: Arc::clone(entry), app: Arc::new(app), in_use }),
                Err(reasons) => mistakes = Some(entry.mistakes(reasons)),
            }
        }
        if let Some(good) = good.filter(|good| found.entry().is_none_or(|entry| !good.same(entry)))
            && let Ok(app) = self.compose(id, &good, true)
        {
            candidates.push(Candidate { entry: good, app: Arc::new(app), in_use: true });
        }
        // New defaults may have put even the version in use at odds with another app.
        if let (Some(entry), Some(app)) = (self.entry(&key), self.apps.get(id))
            && candidates.iter().all(|candidate| candidate.app != *app)
        {
            candidates.push(Candidate { entry: Arc::clone(entry), app: Arc::clone(app), in_use: true });
        }
        (candidates, mistakes)
    }

    fn compose(&self, id: &AppId, entry: &Entry, in_use: bool) -> Result<App, Vec<Reason>> {
        let Some(app) = entry.app() else { return Err(Vec::new()) };
        for key in [Key::of(Kind::State, id), Key::of(Kind::Instances, id)] {
            // Nobody knows whether it runs, or where.
            if matches!(self.found(&key), Found::Broken(_)) && self.entry(&key).is_none() {
                return Err(vec![Reason::new("", format!("{key} cannot be used, and no good version of it is known"))]);
            }
        }
        let instances_key = Key::of(Kind::Instances, id);
        let instances = self.usable(&instances_key);
        // Instances stand in one place. Whichever of the two came later is refused.
        if let (Some(other), false) = (&instances, in_use)
            && entry.lists_instances()
            && self.entry(&instances_key).is_some()
        {
            let why = format!("{} lists them too; keep one of the two", other.file);
            let place = layer::place_of(&app.fields, "instances");
            return Err(vec![Reason { at: "instances".to_owned(), why, place }]);
        }
        let plan = match &app.plan {
            Some(plan) => Some(self.entry(&Key::new(Kind::Plan, &plan.name)).ok_or_else(|| {
                let why = format!("there is no plan {} that can be used", quoted(&plan.name));
                vec![Reason { at: "plan".to_owned(), why, place: plan.place }]
            })?),
            None => None,
        };
        let layers = Layers {
            defaults: self.entry(&Key::single(Kind::Defaults)).and_then(|entry| entry.layer()),
            plan: plan.and_then(|entry| entry.layer()),
            app,
            state: self.entry(&Key::of(Kind::State, id)).and_then(|entry| entry.state()),
            draining: self.entry(&Key::of(Kind::Draining, id)).and_then(|entry| entry.draining()),
            denied: self.denied(id).cloned().collect(),
            instances: instances.as_ref().filter(|_| !entry.lists_instances()).and_then(|entry| entry.instances()),
        };
        compose(id, &layers, |page| Some(self.entry(&Key::new(Kind::Page, page))?.page()?.0))
    }

    fn use_version(&mut self, id: &AppId, chosen: Option<Candidate>, accepted: &mut Accepted) {
        let key = Key::of(Kind::App, id);
        let instances_key = Key::of(Kind::Instances, id);
        let mut instances = self.usable(&instances_key);
        let is_gone = matches!(self.found(&key), Found::Nothing);
        if let Some(Candidate { entry, app, .. }) = chosen {
            if entry.lists_instances()
                && let Some(other) = instances.take()
            {
                let why = format!("{} lists the instances itself; keep one of the two", entry.file);
                self.mistakes.insert(instances_key.clone(), other.mistakes(vec![Reason::new("", why)]));
            }
            // An app that did not change stays the same value: the publisher sees that by its address.
            if self.apps.get(id) != Some(&app) {
                self.apps.insert(id.clone(), app);
            }
            self.accept(&key, Some(entry), accepted);
            self.name_missing_pages(&key);
        } else {
            self.apps.remove(id);
            if is_gone {
                self.accept(&key, None, accepted);
            }
        }
        self.accept(&instances_key, instances, accepted);
        if is_gone || self.apps.contains_key(id) {
            self.unusable.remove(id);
        } else {
            self.unusable.insert(id.clone());
        }
        if is_gone {
            self.name_orphans(id);
        }
    }

    /// What stands under a key, or its last good version if that is broken.
    fn usable(&self, key: &Key) -> Option<Arc<Entry>> {
        match self.found(key) {
            Found::Nothing => None,
            Found::Entry(entry) => Some(entry),
            Found::Broken(_) => self.entry(key).cloned(),
        }
    }

    fn name_broken(&mut self, key: &Key) {
        match self.found(key) {
            Found::Broken(mistakes) => drop(self.mistakes.insert(key.clone(), mistakes)),
            Found::Nothing | Found::Entry(_) => drop(self.mistakes.remove(key)),
        }
    }

    fn name_lost(&mut self, id: &AppId, lost: &Lost) {
        let key = Key::of(Kind::App, id);
        let found = self.found(&key);
        let Some((entry, app)) = found.entry().and_then(|entry| Some((entry, entry.app()?))) else { return };
        let Lost { host, to } = lost;
        let hosts = layer::field(&app.fields, "hosts");
        let hosts = if let Some(Value::List(hosts)) = hosts.map(|node| &node.value) { hosts.as_slice() } else { &[] };
        let is_lost = |node: &Value| matches!(node, Value::String(text) if text.parse::<HostPattern>().as_ref() == Ok(host));
        let index = hosts.iter().position(|node| is_lost(&node.value)).unwrap_or_default();
        let place = hosts.get(index).and_then(|node| node.place);
        let why = format!("{} belongs to the app {}", quoted(&host.to_string()), quoted(to.as_str()));
        let reason = Reason { at: format!("hosts[{index}]"), why, place };
        self.mistakes.insert(key, entry.mistakes(vec![reason]));
    }

    /// What speaks of an app that is not there does nothing, which its writer should know.
    fn name_orphans(&mut self, id: &AppId) {
        for kind in [Kind::State, Kind::Instances, Kind::Draining] {
            let key = Key::of(kind, id);
            if let Some(entry) = self.found(&key).entry() {
                let reason = Reason::new("", format!("there is no app {}: no apps/{id}.yaml", quoted(id.as_str())));
                self.mistakes.insert(key, entry.mistakes(vec![reason]));
            }
        }
    }
}

fn contender(candidates: &[Candidate]) -> Contender {
    let version = |candidate: &Candidate| Version { app: Arc::clone(&candidate.app), in_use: candidate.in_use };
    Contender { versions: candidates.iter().map(version).collect() }
}

fn is_over(entry: &Entry, now: Timestamp) -> bool {
    entry.until().is_some_and(|until| until <= now)
}

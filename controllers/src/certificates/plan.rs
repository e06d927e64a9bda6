//! What is to be done about each certificate. Pure: the store, the time and the budget come in, decisions come out.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use karman_contract::name::HostPattern;

use super::budget::{Budget, Budgets, Spent};
use super::choice::Health;
use super::entry::{CertificateFile, Source};
use super::look::Caa;
use super::made::Made;
use super::need::{Need, Unable};
use super::order::Order;
use super::renewal::{self, Due};
use super::settings::{AcmeCa, Settings};

/// Everything that decisions are made from.
pub struct Known<'a> {
    pub needs: &'a BTreeMap<String, Need>,
    pub certificates: &'a BTreeMap<String, CertificateFile>,
    pub orders: &'a BTreeMap<String, Order>,
    pub now: Timestamp,
    /// What people brought, by each name: these may cover needs whose id is another.
    brought: HashMap<&'a HostPattern, Vec<(&'a str, &'a CertificateFile)>>,
}

/// What is to be done about one need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// The certificate is good until then, at least.
    Good { id: String, until: Timestamp },
    /// Nobody can issue this one.
    Unable(Unable),
    /// Not yet.
    Wait { until: Timestamp, why: String },
    /// Make an order, or go on with it.
    Work { urgency: Urgency },
    /// An order that is not needed any more: its certificate is there.
    Done,
}

/// Who goes first where not all can: who has no certificate, then who loses one soonest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    Renewal,
    Backstop,
    Emergency,
    Missing,
}

/// An ended certificate that nobody needs goes after this time.
const KEPT_AFTER_END: SignedDuration = SignedDuration::from_hours(7 * 24);

impl<'a> Known<'a> {
    pub fn new(
        needs: &'a BTreeMap<String, Need>,
        certificates: &'a BTreeMap<String, CertificateFile>,
        orders: &'a BTreeMap<String, Order>,
        now: Timestamp,
    ) -> Self {
        let mut brought: HashMap<_, Vec<_>> = HashMap::new();
        for (id, file) in certificates.iter().filter(|(_, file)| file.source != Source::Ordered) {
            file.names.iter().for_each(|name| brought.entry(name).or_default().push((id.as_str(), file)));
        }
        Self { needs, certificates, orders, now, brought }
    }

    /// The certificate that is good for a need the longest.
    pub fn certificate_for(&self, id: &str, need: &Need) -> Option<(&'a str, &'a CertificateFile)> {
        let own = self.certificates.get_key_value(id).map(|(id, file)| (id.as_str(), file));
        let wildcard = match &need.name {
            HostPattern::Exact(host) => {
                host.as_str().split_once('.').and_then(|(_, rest)| rest.parse().ok()).map(HostPattern::Below)
            }
            HostPattern::Below(_) => None,
        };
        let brought = [Some(&need.name), wildcard.as_ref()].into_iter().flatten().filter_map(|name| self.brought.get(name));
        let covering = own.into_iter().chain(brought.flatten().copied()).filter(|(_, file)| file.covers(&need.name));
        covering.max_by_key(|(_, file)| file.not_after)
    }

    /// The CA that a need goes to, unless the domain's owner allows only another: that is asked when it is due.
    pub fn ca_for<'s>(&self, id: &str, need: &Need, settings: &'s Settings, health: &Health) -> Option<&'s AcmeCa> {
        let present = self.orders.get(id).and_then(|order| order.attempt.as_ref()).map_or("", |attempt| &attempt.ca);
        health.choose(settings, present, &need.name, &Caa::default(), self.now).ok()
    }

    /// Decides about one need; `ca` is the one that would be asked.
    pub fn task(&self, id: &str, need: &Need, ca: &str, budgets: &Budgets) -> Task {
        let found = self.certificate_for(id, need);
        let due = found.map(|(id, file)| (id, renewal::due(file, self.now)));
        let order = self.orders.get(id);
        let is_met = order.zip(found).is_some_and(|(order, (_, file))| order.is_met_by(file));
        let is_asked_for = order.is_some_and(|order| order.asked_for);
        if let Some((id, Err(until))) = &due
            && (is_met || !is_asked_for)
        {
            return match order {
                Some(_) => Task::Done,
                None => Task::Good { id: (*id).to_owned(), until: *until },
            };
        }
        if let Err(unable) = &need.way {
            return Task::Unable(unable.clone());
        }
        if let Some(until) = order.and_then(|order| order.waits(self.now)) {
            let why = order.and_then(|order| order.trouble.clone()).unwrap_or_default();
            return Task::Wait { until, why };
        }
        let urgency = match due {
            Some((_, Ok(Due::Window))) => Urgency::Renewal,
            Some((_, Ok(Due::Backstop))) => Urgency::Backstop,
            Some((_, Ok(Due::Emergency))) => Urgency::Emergency,
            Some((_, Err(_))) | None => Urgency::Missing,
        };
        // An order that the CA has costs nothing more, nor does one that it knows as a renewal.
        let is_free = order.and_then(|order| order.attempt.as_ref()).is_some_and(|attempt| attempt.url.is_some())
            || (urgency == Urgency::Renewal && order.is_none_or(|order| !order.drop_replaces));
        match budgets.check(ca, std::slice::from_ref(&need.name), self.now) {
            Err(wait) if !is_free => Task::Wait { until: wait.until, why: format!("our own limit of {}", wait.limit) },
            _ => Task::Work { urgency },
        }
    }

    /// Orders for what nobody needs any more.
    pub fn orphans(&self) -> impl Iterator<Item = &String> {
        self.orders.keys().filter(|id| !self.needs.contains_key(*id))
    }

    /// Certificates that ended a while ago and that nobody needs.
    pub fn leftovers(&self) -> impl Iterator<Item = &String> {
        let ended = |file: &CertificateFile| self.now > file.not_after + KEPT_AFTER_END;
        self.certificates.iter().filter(move |(id, file)| ended(file) && !self.needs.contains_key(*id)).map(|(id, _)| id)
    }

    /// What is left at each CA.
    pub fn budgets(&self, settings: &Settings, made: &Made) -> Budgets {
        let of = |ca: &AcmeCa| (ca.name.clone(), Budget::new(ca.limits, self.spent(&ca.name), made.at(&ca.name), self.now));
        Budgets(settings.acme().map(of).collect())
    }

    /// What was ordered at a CA, as far as the store tells.
    fn spent(&self, ca: &str) -> impl Iterator<Item = Spent<'a>> {
        let issued = self.certificates.values().filter(move |file| file.ca.as_deref() == Some(ca)).filter_map(|file| {
            let order = file.order.as_ref()?;
            Some(Spent { at: order.at, names: &file.names, renews: order.renews })
        });
        let under_way = self.orders.values().filter_map(move |order| {
            let attempt = order.attempt.as_ref().filter(|attempt| attempt.ca == ca && attempt.url.is_some())?;
            Some(Spent { at: attempt.at, names: &order.names, renews: attempt.replaces.is_some() })
        });
        issued.chain(under_way)
    }
}

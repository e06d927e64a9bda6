//! Our own limits, below those of the CA: what was ordered lately says whether one more order is in order.
//!
//! The store knows when each certificate was ordered, and when an order was made lately, whatever became of it. A window
//! that slides is stricter than the CA's token bucket of the same size.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use karman_contract::name::HostPattern;

use super::entry::domain_of;
use super::trouble::Trouble;

/// What one account may ask of a CA. The defaults are four fifths of what Let's Encrypt allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// New orders of the account within three hours.
    pub orders: u32,
    /// New certificates for one registered domain within a week.
    pub per_domain: u32,
    /// Certificates for exactly the same names within a week.
    pub same_names: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { orders: 240, per_domain: 40, same_names: 4 }
    }
}

pub const ORDERS_WITHIN: SignedDuration = SignedDuration::from_hours(3);
const CERTIFICATES_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One order that was made at a CA.
#[derive(Clone, Debug)]
pub struct Spent<'a> {
    pub at: Timestamp,
    pub names: &'a [HostPattern],
    /// Renewals that the CA recognizes cost nothing.
    pub renews: bool,
}

/// What was ordered at one CA, by when it counts no more.
#[derive(Clone, Debug)]
pub struct Budget {
    limits: Limits,
    orders: Vec<Timestamp>,
    by_domain: HashMap<String, Vec<Timestamp>>,
    by_names: HashMap<String, Vec<Timestamp>>,
}

impl Budget {
    /// `made`: when orders were made; those among them that are not spent failed.
    pub fn new<'a>(limits: Limits, spent: impl IntoIterator<Item = Spent<'a>>, made: &[Timestamp], now: Timestamp) -> Self {
        let mut budget = Self { limits, orders: Vec::new(), by_domain: HashMap::new(), by_names: HashMap::new() };
        let recent = |order: &Spent<'_>| order.at > now - CERTIFICATES_WITHIN;
        spent.into_iter().filter(recent).for_each(|order| budget.spend(&order));
        let known: HashSet<_> = budget.orders.iter().copied().collect();
        budget.orders.extend(made.iter().filter(|at| !known.contains(at)));
        budget
    }

    /// Counts an order.
    pub fn spend(&mut self, order: &Spent<'_>) {
        if order.renews {
            return;
        }
        self.orders.push(order.at);
        self.by_names.entry(names_key(order.names)).or_default().push(order.at);
        let mut domains: Vec<_> = order.names.iter().map(|name| registered_domain(domain_of(name).as_str())).collect();
        domains.sort_unstable();
        domains.dedup();
        for domain in domains {
            self.by_domain.entry(domain.to_owned()).or_default().push(order.at);
        }
    }

    /// Whether one more order for these names is within the limits; if not, until when it waits, and for which.
    pub fn check(&self, names: &[HostPattern], now: Timestamp) -> Result<(), Wait> {
        let account = free_at(&self.orders, self.limits.orders, ORDERS_WITHIN, now);
        let account = account.map(|until| Wait { until, limit: format!("{} orders in 3 hours", self.limits.orders) });
        let same = self.by_names.get(&names_key(names)).and_then(|spent| {
            let until = free_at(spent, self.limits.same_names, CERTIFICATES_WITHIN, now)?;
            Some(Wait { until, limit: format!("{} certificates for the same names in 7 days", self.limits.same_names) })
        });
        let domains = names.iter().filter_map(|name| {
            let domain = registered_domain(domain_of(name).as_str());
            let until = free_at(self.by_domain.get(domain)?, self.limits.per_domain, CERTIFICATES_WITHIN, now)?;
            Some(Wait { until, limit: format!("{} certificates below {domain} in 7 days", self.limits.per_domain) })
        });
        match account.into_iter().chain(same).chain(domains).max_by_key(|wait| wait.until) {
            Some(wait) => Err(wait),
            None => Ok(()),
        }
    }
}

/// The budgets of all CAs that are asked, by their names.
#[derive(Clone, Debug, Default)]
pub struct Budgets(pub BTreeMap<String, Budget>);

impl Budgets {
    /// Whether one more order at this CA is within its limits. A CA without a budget has none.
    pub fn check(&self, ca: &str, names: &[HostPattern], now: Timestamp) -> Result<(), Wait> {
        self.0.get(ca).map_or(Ok(()), |budget| budget.check(names, now))
    }

    /// Counts an order.
    pub fn spend(&mut self, ca: &str, order: &Spent<'_>) {
        if let Some(budget) = self.0.get_mut(ca) {
            budget.spend(order);
        }
    }
}

/// Which limit an order waits for, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub until: Timestamp,
    pub limit: String,
}

impl Wait {
    pub fn trouble(self, now: Timestamp) -> Trouble {
        Trouble { wait: Some(now.duration_until(self.until)), ..Trouble::passing(format!("our own limit of {}", self.limit)) }
    }
}

/// When there is room again for one more, if there is none now.
fn free_at(spent: &[Timestamp], limit: u32, within: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let mut counting: Vec<_> = spent.iter().filter(|at| **at > now - within).collect();
    let over = counting.len().checked_sub(usize::try_from(limit).unwrap_or(usize::MAX))?;
    counting.sort_unstable();
    counting.get(over).map(|at| **at + within)
}

fn names_key(names: &[HostPattern]) -> String {
    let mut names: Vec<_> = names.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.join(" ")
}

/// Roughly the domain that somebody registered: two labels, or three below the likes of `co.uk`.
///
/// The public suffix list would be right more often. Where this is wrong, it counts names together
/// that the CA counts apart, or the CA says so with a 429, which is obeyed.
fn registered_domain(host: &str) -> &str {
    let mut dots = host.rmatch_indices('.').map(|(index, _)| index);
    let (Some(last), Some(second)) = (dots.next(), dots.next()) else { return host };
    let is_shared = host.len() - last - 1 == 2 && SHARED.contains(&&host[second + 1..last]);
    match (is_shared, dots.next()) {
        (true, Some(third)) => &host[third + 1..],
        (true, None) => host,
        (false, _) => &host[second + 1..],
    }
}

/// Second labels below which countries register.
const SHARED: [&str; 10] = ["ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"];

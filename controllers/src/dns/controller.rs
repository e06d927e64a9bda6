//! One pass of the controller: look at what is there, decide, and make it so.

#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::sync::Arc;

use super::apply::{Aside, Made, make};
use super::calls::Calls;
use super::desired::desired;
use super::guard::{Guard, Held};
use super::health::{self, HealthPlan, Ids};
use super::plan::{NothingDesired, Plan, Policy, Terms, plan};
use super::record::{Name, Record};
use super::service::Refusal;
use super::settings::Settings;

/// What the operator allows.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub policy: Policy,
    /// Take over records that nobody marked.
    pub adopt: bool,
    /// Remove more than a few names at once.
    pub force: bool,
}

/// What the store wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub domain: Name,
    pub settings: Settings,
}

/// What a look found.
#[derive(Clone, Debug)]
pub struct View {
    pub zone: Name,
    pub checks: HealthPlan,
    pub plan: Plan,
}

/// What a pass did.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    pub zone: String,
    pub changes: usize,
    pub checks_made: usize,
    pub checks_removed: usize,
    pub aside: Aside,
    pub foreign: Vec<super::plan::Foreign>,
    pub kept: Vec<super::record::SetKey>,
    pub held: Option<Held>,
}

impl Pass {
    /// Whether the zone is as it is wanted, as far as that is ours to do.
    pub fn is_settled(&self) -> bool {
        self.aside.is_empty() && self.foreign.is_empty() && self.held.is_none()
    }
}

/// Why a pass did not get to its end. What it made until then stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    Refused(Refusal),
    /// The domain is not in the zone.
    Outside {
        zone: Name,
        domain: Name,
    },
    Nothing(NothingDesired),
}

/// Goes from pass to pass, and remembers what needs more than one.
#[derive(Debug)]
pub struct Controller {
    calls: Arc<Calls>,
    options: Options,
    guard: Guard,
    aside: Aside,
    /// Health checks that the last pass found to be wanted no more.
    surplus: Vec<Box<str>>,
}

impl Controller {
    pub fn new(calls: Arc<Calls>, options: Options) -> Self {
        Self { calls, options, guard: Guard::new(options.force), aside: Aside::new(), surplus: Vec::new() }
    }

    /// Says what a pass would do. Changes nothing.
    pub async fn look(&self, wish: &Wish) -> Result<View, Trouble> {
        let (zone, checks) = self.surroundings(wish).await?;
        let mut ids = checks.have.clone();
        ids.extend(checks.create.keys().map(|region| (region.clone(), "to be made".into())));
        let records = self.calls.records(&wish.settings.zone).await?;
        let plan = self.plan(wish, &zone, &ids, &records)?;
        Ok(View { zone, checks, plan })
    }

    pub async fn pass(&mut self, wish: &Wish) -> Result<Pass, Trouble> {
        let (zone, checks) = self.surroundings(wish).await?;
        let mut ids = checks.have.clone();
        for (region, (check, reference)) in &checks.create {
            ids.insert(region.clone(), self.calls.create_health_check(check, reference).await?);
        }
        let records = self.calls.records(&wish.settings.zone).await?;
        let plan = self.plan(wish, &zone, &ids, &records)?;
        let (Plan { groups, foreign, kept, .. }, held) = self.guard.admit(plan);
        let made = make(&self.calls, &wish.settings.zone, groups, &self.aside).await?;
        let Made { changes, aside } = made;
        self.aside = aside.clone();
        let checks_removed = self.remove_checks(checks.surplus, &records).await?;
        let zone = zone.to_string();
        Ok(Pass { zone, changes, checks_made: checks.create.len(), checks_removed, aside, foreign, kept, held })
    }

    async fn surroundings(&self, wish: &Wish) -> Result<(Name, HealthPlan), Trouble> {
        let zone = self.calls.zone_name(&wish.settings.zone).await?;
        if !wish.domain.is_within(&zone) {
            return Err(Trouble::Outside { zone, domain: wish.domain.clone() });
        }
        let wanted = wish.settings.regions.iter().filter_map(|(name, region)| Some((name.as_str(), region.health.as_ref()?)));
        let checks = health::plan(wanted, &self.calls.health_checks().await?, &wish.settings.owner);
        Ok((zone, checks))
    }

    fn plan(&self, wish: &Wish, zone: &Name, ids: &Ids, records: &[Record]) -> Result<Plan, Trouble> {
        let Options { policy, adopt, .. } = self.options;
        let terms = Terms { zone: zone.clone(), owner: wish.settings.owner.clone(), policy, adopt };
        plan(&desired(&wish.domain, &wish.settings, ids), records, &terms).map_err(Trouble::Nothing)
    }

    /// Removes checks that two passes found to be wanted no more and that no record names.
    async fn remove_checks(&mut self, surplus: Vec<Box<str>>, records: &[Record]) -> Result<usize, Trouble> {
        let last = std::mem::replace(&mut self.surplus, surplus);
        let is_named = |id: &str| records.iter().any(|record| record.health_check.as_deref() == Some(id));
        let gone: Vec<_> = self.surplus.iter().filter(|id| last.contains(id) && !is_named(id)).collect();
        if self.options.policy == Policy::UpsertOnly {
            return Ok(0);
        }
        for id in &gone {
            self.calls.delete_health_check(id).await?;
        }
        Ok(gone.len())
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Outside { zone, domain } => write!(f, "the domain {domain} is not in the zone, which is {zone}"),
            Self::Nothing(NothingDesired) => f.write_str("no record is wanted at all, which cannot be meant"),
        }
    }
}

impl std::error::Error for Trouble {}

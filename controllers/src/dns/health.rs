//! Health checks by which DNS finds out that a region is drained or gone. Pure.
//!
//! The service's checkers ask `/healthz/region` from outside; it turns to 503 when the region is
//! drained, so that traffic moves on with no call to the service's API.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use karman_contract::name::Host;
use sha2::{Digest as _, Sha256};

use super::plan::owner::Owner;

/// What is asked, over HTTPS, every 10 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub host: Host,
    pub port: u16,
    pub path: Box<str>,
}

/// A check that the account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    pub id: Box<str>,
    /// The words with which it was made; the service keeps them for ever, up to 64 characters.
    pub reference: String,
}

/// What a region's check is called, by its region.
pub type Ids = BTreeMap<Box<str>, Box<str>>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthPlan {
    pub have: Ids,
    /// By region: what is to be made, and its reference.
    pub create: BTreeMap<Box<str>, (Check, String)>,
    /// Ours, and wanted no more: they go after the records that name them.
    pub surplus: Vec<Box<str>>,
}

/// Compares what should be with what is. A check cannot be changed in what matters: another one is made.
pub fn plan<'a>(wanted: impl IntoIterator<Item = (&'a str, &'a Check)>, existing: &[Existing], owner: &Owner) -> HealthPlan {
    let mut plan = HealthPlan::default();
    let mut wanted_references = Vec::new();
    for (region, check) in wanted {
        let reference = check.reference(region, owner);
        match existing.iter().find(|existing| existing.reference == reference) {
            Some(existing) => {
                plan.have.insert(region.into(), existing.id.clone());
            }
            None => {
                plan.create.insert(region.into(), (check.clone(), reference.clone()));
            }
        }
        wanted_references.push(reference);
    }
    let ours = prefix(owner);
    let is_surplus =
        |existing: &&Existing| existing.reference.starts_with(&ours) && !wanted_references.contains(&existing.reference);
    plan.surplus = existing.iter().filter(is_surplus).map(|existing| existing.id.clone()).collect();
    plan
}

impl Check {
    fn reference(&self, region: &str, owner: &Owner) -> String {
        let what = format!("{region} {}:{}{}", self.host, self.port, self.path);
        format!("{}{}", prefix(owner), short_hash(&what))
    }
}

fn prefix(owner: &Owner) -> String {
    format!("karman/{}/", short_hash(owner.as_str()))
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

//! Which CA an order goes to: the first of the list that the domain's owner allows and that is of use just now.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use karman_contract::name::HostPattern;

use super::look::Caa;
use super::settings::{AcmeCa, Settings};
use super::trouble::Trouble;

/// A CA that fails everybody is waited for this long before the next one is asked.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);

/// How the CAs have been lately, as this process saw it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    by_ca: BTreeMap<String, Sickness>,
}

#[derive(Clone, Copy, Debug)]
struct Sickness {
    since: Timestamp,
    /// The CA asked to be left alone until then.
    until: Option<Timestamp>,
}

impl Health {
    /// Notes how a piece of work went that may have had to do with a CA; whether that answered anything.
    pub fn note(&mut self, ca: &str, trouble: Option<&Trouble>, answered: bool, now: Timestamp) {
        match trouble {
            Some(trouble) if trouble.of_the_ca => {
                let sickness = self.by_ca.entry(ca.to_owned()).or_insert(Sickness { since: now, until: None });
                sickness.until = trouble.wait.map(|wait| now + wait);
            }
            _ if answered => drop(self.by_ca.remove(ca)),
            // What we did by ourselves tells nothing of it.
            _ => {}
        }
    }

    /// Whether orders look for another CA by now.
    fn is_given_up(&self, ca: &str, now: Timestamp) -> bool {
        self.by_ca.get(ca).is_some_and(|sickness| {
            now >= sickness.since + PATIENCE || sickness.until.is_some_and(|until| until > now + PATIENCE)
        })
    }

    /// Chooses for a name; `present` is the CA that has an order for it already, if one has.
    pub fn choose<'a>(
        &self,
        settings: &'a Settings,
        present: &str,
        name: &HostPattern,
        caa: &Caa,
        now: Timestamp,
    ) -> Result<&'a AcmeCa, Trouble> {
        let allowed: Vec<_> = settings.acme().filter(|ca| caa.allows(&ca.caa, name)).collect();
        let well = |ca: &&&AcmeCa| !self.is_given_up(&ca.name, now);
        let here = allowed.iter().find(|ca| present == ca.name).filter(well);
        // Where none is well, the first is as good as any.
        here.or_else(|| allowed.iter().find(well)).or_else(|| allowed.first()).copied().ok_or_else(|| {
            let issuers = caa.issue.iter().chain(&caa.issue_wildcard).flatten().cloned().collect::<Vec<_>>().join(", ");
            let issuers = if issuers.is_empty() { "no CA at all".to_owned() } else { format!("only {issuers}") };
            Trouble::of_the_name(format!("the CAA records of {name} allow {issuers}, and none of ours"))
        })
    }
}

//! Who has which host: no host twice, and none below another owner's wildcard.

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_contract::app::App;
use karman_contract::name::{AppId, HostPattern, Owner};

/// The hosts that apps have, by their names read from the right: `com.example.www`, `com.example.*`.
/// All that a wildcard covers then stands in one row.
#[derive(Default)]
pub struct Hosts {
    claims: BTreeMap<String, Claim>,
}

struct Claim {
    app: AppId,
    owner: Owner,
}

/// An app whose hosts are to be settled: the versions of it that could be in use, best first.
pub struct Contender {
    pub versions: Vec<Version>,
}

pub struct Version {
    pub app: Arc<App>,
    /// Whether this version was in use until now: then its hosts are its own.
    pub in_use: bool,
}

/// A host that a version claims and another app has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub host: HostPattern,
    pub to: AppId,
}

/// Which version of a contender is to be used, if any, and what the better ones lost.
#[derive(Default)]
pub struct Settled {
    pub version: Option<usize>,
    pub lost: Option<Lost>,
}

impl Hosts {
    pub fn release(&mut self, app: &App) {
        for pattern in &app.hosts {
            self.claims.remove(&reversed(pattern));
        }
    }

    /// Gives each host to the app that had it, else to the one with the lower id. Who loses a host
    /// falls back to the version before, as a whole. The contenders' hosts must have been released.
    pub fn settle(&mut self, contenders: &BTreeMap<AppId, Contender>) -> BTreeMap<AppId, Settled> {
        let mut settled: BTreeMap<_, _> =
            contenders.keys().map(|id| (id.clone(), Settled { version: Some(0), lost: None })).collect();
        // Each round takes a version from somebody, so there are at most as many rounds as versions.
        loop {
            let losses = self.claim_all(contenders, &settled);
            if losses.is_empty() {
                return settled;
            }
            for (id, contender) in contenders {
                if let (Some(version), false) = (contender.version(&settled, id), losses.contains_key(id)) {
                    self.release(&version.app);
                }
            }
            for (id, lost) in losses {
                let settled = settled.entry(id).or_default();
                settled.version = settled.version.map(|version| version + 1);
                settled.lost.get_or_insert(lost);
            }
        }
    }

    fn claim_all(
        &mut self,
        contenders: &BTreeMap<AppId, Contender>,
        settled: &BTreeMap<AppId, Settled>,
    ) -> BTreeMap<AppId, Lost> {
        let had: BTreeMap<_, _> = contenders.iter().flat_map(|(id, contender)| contender.had().map(move |p| (p, id))).collect();
        let mut order: Vec<_> =
            contenders.iter().filter_map(|(id, contender)| Some((id, contender.version(settled, id)?))).collect();
        // Who asks for nothing new goes first; the sort keeps the order of the ids.
        order.sort_by_key(|(id, version)| !version.app.hosts.iter().all(|p| had.get(p) == Some(id)));

        let still_claims = |id: &AppId, pattern: &HostPattern| {
            contenders
                .get(id)
                .and_then(|contender| contender.version(settled, id))
                .is_some_and(|version| version.app.hosts.contains(pattern))
        };
        let mut losses = BTreeMap::new();
        for (id, version) in order {
            let lost = version.app.hosts.iter().find_map(|pattern| {
                let owned = had.get(pattern).filter(|other| **other != id && still_claims(other, pattern));
                let to = owned.copied().or_else(|| self.clash(id, &version.app.owner, pattern))?;
                Some(Lost { host: pattern.clone(), to: to.clone() })
            });
            match lost {
                Some(lost) => drop(losses.insert(id.clone(), lost)),
                None => self.claim(id, &version.app),
            }
        }
        losses
    }

    fn claim(&mut self, id: &AppId, app: &App) {
        for pattern in &app.hosts {
            self.claims.insert(reversed(pattern), Claim { app: id.clone(), owner: app.owner.clone() });
        }
    }

    /// The app, if there is one, that keeps `id` from having this host.
    fn clash(&self, id: &AppId, owner: &Owner, pattern: &HostPattern) -> Option<&AppId> {
        let name = reversed(pattern);
        if let Some(claim) = self.claims.get(&name).filter(|claim| claim.app != *id) {
            return Some(&claim.app);
        }
        let others = |claim: &&Claim| claim.owner != *owner && claim.app != *id;
        let above = name.match_indices('.').filter_map(|(dot, _)| self.claims.get(&format!("{}.*", &name[..dot])));
        if let Some(claim) = above.clone().find(others) {
            return Some(&claim.app);
        }
        let row = name.strip_suffix('*')?;
        let below = self.claims.range(row.to_owned()..).take_while(|(name, _)| name.starts_with(row));
        below.map(|(_, claim)| claim).find(others).map(|claim| &claim.app)
    }
}

impl Contender {
    fn version(&self, settled: &BTreeMap<AppId, Settled>, id: &AppId) -> Option<&Version> {
        self.versions.get(settled.get(id)?.version?)
    }

    fn had(&self) -> impl Iterator<Item = &HostPattern> {
        self.versions.iter().filter(|version| version.in_use).flat_map(|version| &version.app.hosts)
    }
}

fn reversed(pattern: &HostPattern) -> String {
    let text = pattern.to_string();
    text.rsplit('.').collect::<Vec<_>>().join(".")
}

//! Which certificates are needed: one for each host of every live app, a wildcard for the platform's own domain.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use karman_contract::app::{App, AppState};
use karman_contract::name::{AppId, Host, HostPattern};

use super::entry::covers;
use super::settings::{Method, Settings};

/// One certificate that somebody needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub name: HostPattern,
    /// Whose host it is; nobody's for the platform's own wildcard.
    pub app: Option<AppId>,
    pub way: Result<Method, Unable>,
}

/// Why no CA can be asked for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unable {
    /// No public CA certifies such names.
    NotPublic,
    /// Wildcards are proven by DNS, and no provider of ours serves this zone.
    NoZone,
}

impl Unable {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotPublic => "no public CA issues a certificate for such a name",
            Self::NoZone => "a wildcard is proven through DNS, and no zone in 'certificates.dns.zones' of platform.yaml holds it",
        }
    }
}

/// All needs, by the id of the certificate that would meet each.
pub fn needs<'a>(
    apps: impl Iterator<Item = (&'a AppId, &'a App)>,
    platform: Option<&Host>,
    settings: &Settings,
) -> BTreeMap<String, Need> {
    let wildcard = platform.cloned().map(HostPattern::Below).filter(|name| settings.has_zone(name));
    let mut needs = BTreeMap::new();
    let mut claimed = BTreeSet::new();
    for (id, app) in apps.filter(|(_, app)| is_live(app.state)) {
        for host in &app.hosts {
            // The platform's wildcard is good for these.
            if wildcard.as_ref().is_some_and(|wildcard| covers(wildcard, host)) || !claimed.insert(host.clone()) {
                continue;
            }
            let need = Need { name: host.clone(), app: Some(id.clone()), way: way(host, settings) };
            needs.insert(super::entry::id_of(host), need);
        }
    }
    if let Some(name) = wildcard {
        let way = way(&name, settings);
        needs.insert(super::entry::id_of(&name), Need { name, app: None, way });
    }
    needs
}

/// Who is stopped or suspended keeps the certificate that is there, and gets no new one.
fn is_live(state: AppState) -> bool {
    match state {
        AppState::Running | AppState::Asleep | AppState::Maintenance => true,
        AppState::Stopped | AppState::Suspended => false,
    }
}

/// How a name is proven to be ours.
fn way(name: &HostPattern, settings: &Settings) -> Result<Method, Unable> {
    if settings.is_local() {
        return Ok(Method::None);
    }
    if !is_public(name) {
        return Err(Unable::NotPublic);
    }
    match name {
        HostPattern::Below(_) if settings.has_zone(name) => Ok(Method::Dns01),
        HostPattern::Below(_) => Err(Unable::NoZone),
        HostPattern::Exact(_) => Ok(settings.method),
    }
}

/// Whether a public CA may certify a name: a DNS name of two labels or more, not reserved (RFC 6761),
/// without the underscores that host names do not have.
fn is_public(name: &HostPattern) -> bool {
    let host = name.name();
    let last = host.rsplit('.').next().unwrap_or(host);
    host.contains('.')
        && host.parse::<Ipv4Addr>().is_err()
        && !host.contains('_')
        && !["localhost", "local", "internal", "invalid", "onion"].contains(&last)
}

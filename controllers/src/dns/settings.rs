//! The regions of the platform and the zone that leads to them: `dns` in `platform.yaml`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::str::FromStr;

use karman_contract::name::Host;
use karman_contract::read::{At, Read, Reason, quoted};

use super::health::Check;
use super::plan::owner::Owner;
use super::record::Name;

/// Regions, or groups of them: each record of a group stands for one region.
const REGIONS_MAX: usize = 64;
const GROUPS_MAX: usize = 256;

/// The label below which each region has a name of its own.
pub const REGIONS_LABEL: &str = "regions";

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The hosted zone's id.
    pub zone: Box<str>,
    pub owner: Owner,
    /// Whether the load balancers have IPv6 addresses too.
    pub ipv6: bool,
    pub regions: BTreeMap<Label, Region>,
    /// Regions that serve the same apps: `APP.GROUP.DOMAIN` leads to the nearest of them.
    pub groups: BTreeMap<Label, BTreeSet<Label>>,
}

/// A region with its load balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    pub balancer: Balancer,
    /// The share of its clients that is sent to another region.
    pub moved: Option<Moved>,
    /// Where the health of the load balancer says too little.
    pub health: Option<Check>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancer {
    pub name: Name,
    /// The zone of the load balancer's own name, which AWS has one of for each region.
    pub zone: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub to: Label,
    /// 0 to 100.
    pub percent: u8,
}

/// The name of a region or group, as one label of a DNS name: 1 to 32 of a-z, 0-9 and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(Box<str>);

impl Label {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-') && !text.ends_with('-') {
            return Ok(Self(text.into()));
        }
        Err(format!("found {}, wanted 1 to 32 of a-z, 0-9 and '-', such as 'eu-west-1'", quoted(text)))
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Read for Settings {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let zone = fields.required::<ZoneId>(reasons, "zone");
        let owner = fields.or(reasons, "owner", Parsed("karman".parse().ok()?));
        let ipv6 = fields.or(reasons, "ipv6", false);
        let regions = fields.field("regions").map(|at| at.map::<Label, Region>(reasons));
        let groups = match fields.field("groups") {
            Some(at) => at.map::<Label, Members>(reasons),
            None => Some(BTreeMap::new()),
        };
        fields.finish(reasons);
        let regions = match regions {
            Some(regions) => regions?,
            None => BTreeMap::new(),
        };
        let groups: BTreeMap<_, _> = groups?.into_iter().map(|(name, members)| (name, members.0)).collect();
        let wrongs = wrongs(&regions, &groups);
        wrongs.iter().for_each(|wrong| at.refuse(reasons, wrong));
        if !wrongs.is_empty() {
            return None;
        }
        Some(Self { zone: zone?.0, owner: owner?.0, ipv6: ipv6?, regions, groups })
    }
}

/// What shows only when all regions are known.
fn wrongs(regions: &BTreeMap<Label, Region>, groups: &BTreeMap<Label, BTreeSet<Label>>) -> Vec<String> {
    let mut wrongs = Vec::new();
    if regions.is_empty() || regions.len() > REGIONS_MAX {
        wrongs.push(format!("found {} regions, wanted 1 to {REGIONS_MAX}", regions.len()));
    }
    if groups.len() > GROUPS_MAX {
        wrongs.push(format!("found {} groups, wanted at most {GROUPS_MAX}", groups.len()));
    }
    for (name, region) in regions {
        match &region.moved {
            Some(moved) if moved.to == *name => wrongs.push(format!("region {name} moves clients to itself")),
            Some(moved) if !regions.contains_key(&moved.to) => {
                wrongs.push(format!("region {name} moves clients to {}, which is no region", moved.to));
            }
            _ => {}
        }
    }
    for (name, members) in groups {
        if name.as_str() == REGIONS_LABEL {
            wrongs.push(format!("a group cannot be called {REGIONS_LABEL}: the regions' own names stand there"));
        }
        for member in members.iter().filter(|member| !regions.contains_key(*member)) {
            wrongs.push(format!("group {name} names {member}, which is no region"));
        }
    }
    wrongs
}

impl Read for Region {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let balancer = fields.required(reasons, "load_balancer");
        let moved = fields.optional(reasons, "move");
        let health = fields.optional(reasons, "health");
        fields.finish(reasons);
        Some(Self { balancer: balancer?, moved: moved?, health: health? })
    }
}

impl Read for Balancer {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let name = fields.required::<Parsed<Host>>(reasons, "name");
        let zone = fields.required::<ZoneId>(reasons, "zone");
        fields.finish(reasons);
        Some(Self { name: Name::from(&name?.0), zone: zone?.0 })
    }
}

impl Read for Moved {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let to = fields.required::<Parsed<Label>>(reasons, "to");
        let percent = fields.field("percent").map(|at| at.integer(reasons, 0, 100));
        fields.finish(reasons);
        let Some(percent) = percent else {
            at.refuse(reasons, "the field 'percent' is required");
            return None;
        };
        Some(Self { to: to?.0, percent: u8::try_from(percent?).ok()? })
    }
}

impl Read for Check {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let host = fields.required::<Parsed<Host>>(reasons, "host");
        let port = fields.integer(reasons, "port", 443, 1, u16::MAX);
        let path = match fields.field("path") {
            Some(at) => path(&at, reasons),
            None => Some("/healthz/region".into()),
        };
        fields.finish(reasons);
        Some(Self { host: host?.0, port: port?, path: path? })
    }
}

fn path(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Box<str>> {
    const PATH_BYTES_MAX: usize = 255;
    let path = at.string(reasons, "a path")?;
    if path.starts_with('/') && path.len() <= PATH_BYTES_MAX && path.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(path.into());
    }
    at.refuse(reasons, format!("found {}, wanted a path of at most {PATH_BYTES_MAX} characters, from '/' on", quoted(path)));
    None
}

/// The id of a hosted zone.
struct ZoneId(Box<str>);

impl Read for ZoneId {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let id = at.string(reasons, "the id of a hosted zone")?;
        if (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Some(Self(id.into()));
        }
        at.refuse(reasons, format!("found {}, wanted the id of a hosted zone, such as 'Z0123456789ABC'", quoted(id)));
        None
    }
}

struct Members(BTreeSet<Label>);

impl Read for Members {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let members: Vec<Parsed<Label>> = at.list(reasons)?;
        if members.is_empty() {
            at.refuse(reasons, "found no region, wanted at least one");
            return None;
        }
        Some(Self(members.into_iter().map(|member| member.0).collect()))
    }
}

/// A text that its type reads by itself.
struct Parsed<T>(T);

impl<T: FromStr<Err = String>> Read for Parsed<T> {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.parse(reasons, "a name").map(Self)
    }
}

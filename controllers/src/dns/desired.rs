//! The records that should be in the zone: in proportion to regions, whatever the number of apps. Pure.
//!
//! `REGION.regions.DOMAIN` leads to the region's load balancer, but for the share of its clients that
//! is moved elsewhere; `*.DOMAIN` and `*.GROUP.DOMAIN` lead to the nearest region that is healthy.

#[cfg(test)]
mod tests;

use super::health::Ids;
use super::record::{Answer, Name, Record, RecordType, Routing, SetKey};
use super::settings::{Label, REGIONS_LABEL, Region, Settings};

/// `checks` has the health check of each region that has one.
pub fn desired(domain: &Name, settings: &Settings, checks: &Ids) -> Vec<Record> {
    let kinds: &[RecordType] = if settings.ipv6 { &[RecordType::A, RecordType::Aaaa] } else { &[RecordType::A] };
    kinds.iter().flat_map(|kind| of_kind(domain, settings, checks, kind)).collect()
}

fn of_kind(domain: &Name, settings: &Settings, checks: &Ids, kind: &RecordType) -> Vec<Record> {
    let mut records: Vec<_> =
        settings.regions.iter().flat_map(|(label, region)| own(domain, label, region, settings, checks, kind)).collect();
    records.extend(nearest(domain, format!("*.{domain}"), "all", settings.regions.keys(), settings, checks, kind));
    for (group, members) in &settings.groups {
        let name = format!("*.{group}.{domain}");
        records.extend(nearest(domain, name, group.as_str(), members.iter(), settings, checks, kind));
    }
    records
}

/// The name of one region.
fn region_name(domain: &Name, region: &Label) -> Name {
    Name::of_service(&format!("{region}.{REGIONS_LABEL}.{domain}"))
}

/// Where one region's own name leads. Its rule is always by weight, so that to move a share later is
/// to change two numbers.
fn own(domain: &Name, label: &Label, region: &Region, settings: &Settings, checks: &Ids, kind: &RecordType) -> Vec<Record> {
    let moved = region.moved.as_ref().and_then(|moved| Some((&moved.to, settings.regions.get(&moved.to)?, moved.percent)));
    let staying = 100 - moved.map_or(0, |(_, _, percent)| percent);
    let key = SetKey { name: region_name(domain, label), kind: kind.clone() };
    let record = |to: &Label, target: &Region, weight| Record {
        key: key.clone(),
        routing: Routing::Weighted { id: format!("{label}>{to}").into(), weight },
        answer: Answer::Alias { zone: target.balancer.zone.clone(), target: target.balancer.name.clone(), evaluate_health: true },
        health_check: checks.get(to.as_str()).cloned(),
    };
    let elsewhere = moved.map(|(to, target, percent)| record(to, target, percent));
    [record(label, region, staying)].into_iter().chain(elsewhere).collect()
}

/// One record for each region, of which the nearest healthy one answers.
fn nearest<'a>(
    domain: &Name,
    name: String,
    group: &str,
    members: impl Iterator<Item = &'a Label>,
    settings: &Settings,
    checks: &Ids,
    kind: &RecordType,
) -> Vec<Record> {
    let key = SetKey { name: Name::of_service(&name), kind: kind.clone() };
    let record = |region: &Label| Record {
        key: key.clone(),
        // No name shares its ids with another one.
        routing: Routing::Latency { id: format!("{group}#{region}").into(), region: region.as_str().into() },
        answer: Answer::Alias { zone: settings.zone.clone(), target: region_name(domain, region), evaluate_health: true },
        health_check: checks.get(region.as_str()).cloned(),
    };
    members.map(record).collect()
}

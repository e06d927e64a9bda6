//! A zone for tests that takes a change exactly as the service's documentation says, or refuses it.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::{CHARACTERS_MAX, Cost, VALUES_MAX};
use super::plan::Change;
use super::record::{Answer, Name, Record, RecordType, Routing};

#[derive(Clone, Debug)]
pub(super) struct StrictZone {
    pub(super) name: Name,
    pub(super) records: Vec<Record>,
    pub(super) health_checks: BTreeSet<Box<str>>,
}

impl StrictZone {
    pub(super) fn new(name: &str) -> Self {
        Self { name: Name::of_service(name), records: Vec::new(), health_checks: BTreeSet::new() }
    }

    /// Makes all changes, or says why it makes none.
    pub(super) fn change(&mut self, changes: &[Change]) -> Result<(), String> {
        let cost = changes.iter().map(Cost::of).fold(Cost::default(), Cost::plus);
        if changes.is_empty() {
            return Err("the batch is empty".to_owned());
        }
        if cost.values > VALUES_MAX || cost.characters > CHARACTERS_MAX {
            return Err(format!("{} values and {} characters are over the limit", cost.values, cost.characters));
        }
        let mut next = self.clone();
        for change in changes {
            next.make(change)?;
        }
        for change in changes.iter().filter(|change| !matches!(change, Change::Delete(_))) {
            next.check(change.record())?;
        }
        *self = next;
        Ok(())
    }

    fn make(&mut self, change: &Change) -> Result<(), String> {
        let record = change.record();
        let place = self.records.iter().position(|other| other.is_at(record));
        match (change, place) {
            (Change::Create(_), Some(_)) => Err(format!("{record}: tried to create it but it already exists")),
            (Change::Create(_) | Change::Upsert(_), None) => {
                self.records.push(record.clone());
                Ok(())
            }
            (Change::Upsert(_), Some(place)) => {
                self.records[place] = record.clone();
                Ok(())
            }
            (Change::Delete(_), None) => Err(format!("{record}: tried to delete it but it was not found")),
            (Change::Delete(_), Some(place)) if same(&self.records[place], record) => {
                self.records.remove(place);
                Ok(())
            }
            (Change::Delete(_), Some(_)) => Err(format!("{record}: the values do not match the current values")),
        }
    }

    /// Whether a record that was just written can stand where it stands.
    fn check(&self, record: &Record) -> Result<(), String> {
        let refuse = |why: &str| Err(format!("{record}: {why}"));
        if !record.key.name.is_within(&self.name) {
            return refuse("the name is not permitted in the zone");
        }
        if record.health_check.as_ref().is_some_and(|check| !self.health_checks.contains(check)) {
            return refuse("there is no such health check");
        }
        let of_name = || self.records.iter().filter(|other| other.key.name == record.key.name);
        if of_name().any(|other| (other.key.kind == RecordType::Cname) != (record.key.kind == RecordType::Cname)) {
            return refuse("a CNAME stands alone");
        }
        let siblings: Vec<_> = of_name().filter(|other| other.key == record.key).collect();
        if siblings.iter().any(|other| !other.routing.is_like(&record.routing)) {
            return refuse("records of another routing rule stand there");
        }
        match &record.routing {
            Routing::Other { .. } => return refuse("an unknown routing rule"),
            Routing::Latency { region, .. } => {
                let same = |other: &&&Record| matches!(&other.routing, Routing::Latency { region: other, .. } if other == region);
                if siblings.iter().filter(same).count() > 1 {
                    return refuse("two records for one region");
                }
            }
            Routing::Simple | Routing::Weighted { .. } => {}
        }
        if record.routing.id().is_some_and(|id| id.is_empty() || id.chars().count() > 128) {
            return refuse("a set identifier has 1 to 128 characters");
        }
        match &record.answer {
            Answer::Values { values, .. } => {
                let distinct: BTreeSet<_> = values.iter().collect();
                if values.is_empty() || distinct.len() != values.len() {
                    return refuse("no value, or the same one twice");
                }
                let is_quoted =
                    |value: &str| value.len() <= 257 && value.starts_with('"') && value.ends_with('"') && value.len() > 1;
                if record.key.kind == RecordType::Txt && !values.iter().all(|value| is_quoted(value)) {
                    return refuse("a TXT value is quoted and has at most 255 characters");
                }
            }
            Answer::Alias { target, .. } => {
                let is_there = |other: &Record| other.key.name == *target && other.key.kind == record.key.kind;
                if target.is_within(&self.name) && !self.records.iter().any(is_there) {
                    return refuse("the alias's target does not exist");
                }
            }
        }
        Ok(())
    }

    /// The records in an order in which two zones can be compared.
    pub(super) fn sorted(&self) -> BTreeMap<String, Record> {
        let key = |record: &Record| format!("{} {:?}", record.key, record.routing.id());
        self.records.iter().map(|record| (key(record), normal(record))).collect()
    }
}

fn normal(record: &Record) -> Record {
    let mut record = record.clone();
    if let Answer::Values { values, .. } = &mut record.answer {
        values.sort();
    }
    record
}

fn same(one: &Record, other: &Record) -> bool {
    normal(one) == normal(other)
}

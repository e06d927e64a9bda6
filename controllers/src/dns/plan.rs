//! What has to change in a zone. Pure: the records that should be there, those that are, and whose they are.
//!
//! A name and type belong to one owner as a whole, and a TXT record beside them says to whom
//! ([`owner`]). What is not marked as ours is never touched.

pub mod owner;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Name, Record, RecordType, SetKey};
use owner::{Mark, Owner};

/// What may be done without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Create and change, never remove.
    UpsertOnly,
    /// Remove, too, what is ours and wanted no more.
    Sync,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Fails if somebody else was faster.
    Create(Record),
    Upsert(Record),
    /// Fails if the record is not exactly so any more.
    Delete(Record),
}

impl Change {
    pub fn record(&self) -> &Record {
        match self {
            Self::Create(record) | Self::Upsert(record) | Self::Delete(record) => record,
        }
    }
}

/// All changes of one name and type, and of its mark: they are made together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub key: SetKey,
    pub changes: Vec<Change>,
    /// Whether a record goes for good. What is replaced in the same batch does not.
    pub removes: bool,
    rank: Rank,
}

/// What an alias points to has to be there before it and go after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Put,
    PutAlias,
    RemoveAlias,
    Remove,
}

/// A name that should have records of ours, but is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    pub key: SetKey,
    pub why: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they can be made.
    pub groups: Vec<Group>,
    pub foreign: Vec<Foreign>,
    /// Ours and wanted no more, but the policy keeps them.
    pub kept: Vec<SetKey>,
    /// How many names and types of the zone are ours.
    pub owned: usize,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub fn removals(&self) -> BTreeSet<SetKey> {
        self.groups.iter().filter(|group| group.removes).map(|group| group.key.clone()).collect()
    }

    /// The plan without what removes.
    #[must_use]
    pub fn without_removals(mut self) -> Self {
        let (gone, groups) = self.groups.into_iter().partition(|group| group.removes);
        self.groups = groups;
        self.kept.extend(gone.into_iter().map(|group: Group| group.key));
        self
    }
}

/// How a plan is made.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The zone's own name.
    pub zone: Name,
    pub owner: Owner,
    pub policy: Policy,
    /// Names that have records of nobody known are taken over.
    pub adopt: bool,
}

/// Nothing at all is wanted: that is a mistake before it is a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingDesired;

type Sets<'a> = BTreeMap<&'a SetKey, Vec<&'a Record>>;

/// Says what has to change for `current` to become `desired` where it is ours to change.
pub fn plan(desired: &[Record], current: &[Record], terms: &Terms) -> Result<Plan, NothingDesired> {
    if desired.is_empty() {
        return Err(NothingDesired);
    }
    let (marks, current) = owner::marks(current);
    let (wanted, found) = (sets(desired), sets(current));
    let is_ours = |key: &SetKey| marks.get(key).is_some_and(|mark| mark.owner.as_ref() == Some(&terms.owner));
    let mut plan = Plan { owned: marks.keys().filter(|key| is_ours(key)).count(), ..Plan::default() };
    for (&key, records) in &wanted {
        let present = found.get(key).map_or(&[][..], Vec::as_slice);
        if let Some(why) = foreign(key, present, &found, &marks, terms) {
            plan.foreign.push(Foreign { key: key.clone(), why });
            continue;
        }
        let (group, keeps) = put(key, records, present, marks.get(key), terms);
        plan.groups.extend(group);
        plan.kept.extend(keeps.then(|| key.clone()));
    }
    for (key, mark) in marks.iter().filter(|(key, _)| is_ours(key) && !wanted.contains_key(key)) {
        let records = found.get(key).map_or(&[][..], Vec::as_slice);
        match (terms.policy, records.iter().find(|record| is_opaque(record))) {
            (Policy::UpsertOnly, _) => plan.kept.push(key.clone()),
            (Policy::Sync, Some(_)) => plan.foreign.push(Foreign { key: key.clone(), why: OPAQUE.to_owned() }),
            (Policy::Sync, None) => plan.groups.push(remove(key, records, mark, &terms.zone)),
        }
    }
    plan.groups.sort_by(|one, other| (one.rank, &one.key).cmp(&(other.rank, &other.key)));
    Ok(plan)
}

fn sets<'a>(records: impl IntoIterator<Item = &'a Record>) -> Sets<'a> {
    let mut sets = Sets::new();
    for record in records {
        sets.entry(&record.key).or_default().push(record);
    }
    sets
}

const OPAQUE: &str = "a record of it has a routing rule that is not ours to change";

fn is_opaque(record: &Record) -> bool {
    matches!(record.routing, super::record::Routing::Other { .. })
}

/// Why records that are wanted cannot be ours.
fn foreign(
    key: &SetKey,
    present: &[&Record],
    found: &Sets<'_>,
    marks: &BTreeMap<SetKey, Mark<'_>>,
    terms: &Terms,
) -> Option<String> {
    let alias = SetKey { name: key.name.clone(), kind: RecordType::Cname };
    if key.kind != RecordType::Cname && found.contains_key(&alias) {
        return Some("a CNAME stands under the name".to_owned());
    }
    if present.iter().any(|record| is_opaque(record)) {
        return Some(OPAQUE.to_owned());
    }
    match marks.get(key) {
        Some(Mark { owner: Some(owner), .. }) if *owner == terms.owner => None,
        Some(Mark { owner: Some(owner), .. }) => Some(format!("it is marked as {owner}'s")),
        Some(Mark { owner: None, .. }) => Some("something else stands where its mark would".to_owned()),
        None if present.is_empty() || terms.adopt => None,
        None => Some("records stand there that nobody marked; '--adopt' takes them over".to_owned()),
    }
}

/// The changes that make a set as it is wanted, if there are any, and whether records were kept
/// that the policy does not let go.
fn put(key: &SetKey, wanted: &[&Record], present: &[&Record], mark: Option<&Mark<'_>>, terms: &Terms) -> (Option<Group>, bool) {
    let at = |records: &[&Record], record: &Record| records.iter().find(|other| other.is_at(record)).copied().cloned();
    let surplus: Vec<_> = present.iter().filter(|record| at(wanted, record).is_none()).collect();
    let turns = |record: &&Record| wanted.first().is_some_and(|first| !first.routing.is_like(&record.routing));
    let mut changes = Vec::new();
    let mut removes = false;
    let mut keeps = false;
    if present.iter().any(turns) {
        // Records of two rules cannot stand side by side: all go and come in one batch.
        changes.extend(present.iter().map(|record| Change::Delete((*record).clone())));
        changes.extend(wanted.iter().map(|record| Change::Create((*record).clone())));
    } else {
        if terms.policy == Policy::Sync {
            changes.extend(surplus.iter().map(|record| Change::Delete((**record).clone())));
            removes = !surplus.is_empty();
        } else {
            keeps = !surplus.is_empty();
        }
        for record in wanted {
            match at(present, record) {
                None => changes.push(Change::Create((*record).clone())),
                Some(present) if same(&present, record) => {}
                Some(_) => changes.push(Change::Upsert((*record).clone())),
            }
        }
    }
    if mark.is_none() {
        changes.push(Change::Create(terms.owner.mark(key)));
    }
    let rank = if points_inside(wanted.iter().copied(), &terms.zone) { Rank::PutAlias } else { Rank::Put };
    let group = (!changes.is_empty()).then(|| Group { key: key.clone(), changes, removes, rank });
    (group, keeps)
}

fn remove(key: &SetKey, records: &[&Record], mark: &Mark<'_>, zone: &Name) -> Group {
    let rank = if points_inside(records.iter().copied(), zone) { Rank::RemoveAlias } else { Rank::Remove };
    let all = records.iter().copied().chain([mark.record]);
    let changes = all.map(|record| Change::Delete(record.clone())).collect();
    Group { key: key.clone(), changes, removes: true, rank }
}

/// Whether one of the records is an alias of a name in the same zone.
fn points_inside<'a>(mut records: impl Iterator<Item = &'a Record>, zone: &Name) -> bool {
    records.any(|record| record.target().is_some_and(|target| target.is_within(zone)))
}

/// Whether the service would answer alike; the order of values does not count.
fn same(one: &Record, other: &Record) -> bool {
    use super::record::Answer::Values;
    match (&one.answer, &other.answer) {
        (Values { ttl_seconds: a, values: one_values }, Values { ttl_seconds: b, values: other_values }) => {
            let sorted = |values: &Vec<Box<str>>| values.iter().cloned().collect::<BTreeSet<_>>();
            a == b
                && sorted(one_values) == sorted(other_values)
                && one.routing == other.routing
                && one.health_check == other.health_check
        }
        _ => one == other,
    }
}

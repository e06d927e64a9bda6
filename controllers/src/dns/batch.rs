//! Changes packed into batches that the service takes. Pure.

#[cfg(test)]
mod tests;

use super::plan::{Change, Group};
use super::record::{Answer, Record};

/// What one call may hold (Route 53, ChangeResourceRecordSets): an UPSERT counts double.
pub const VALUES_MAX: usize = 1_000;
pub const CHARACTERS_MAX: usize = 32_000;

/// What a change counts for, against one limit or another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub values: usize,
    pub characters: usize,
    /// Against the account's rate of changes.
    pub tokens: u32,
}

impl Cost {
    pub fn of(change: &Change) -> Self {
        let (values, characters) = size(change.record());
        let times = if matches!(change, Change::Upsert(_)) { 2 } else { 1 };
        Self { values: values * times, characters: characters * times, tokens: if times == 2 { 2 } else { 1 } }
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            values: self.values + other.values,
            characters: self.characters + other.characters,
            tokens: self.tokens + other.tokens,
        }
    }

    pub fn fits(self) -> bool {
        self.values <= VALUES_MAX && self.characters <= CHARACTERS_MAX
    }
}

/// An alias counts as one value.
fn size(record: &Record) -> (usize, usize) {
    match &record.answer {
        Answer::Values { values, .. } => (values.len(), values.iter().map(|value| value.chars().count()).sum()),
        Answer::Alias { target, .. } => (1, target.as_str().len()),
    }
}

/// Groups that go into one call: all of it is done or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub groups: Vec<Group>,
    pub cost: Cost,
}

impl Batch {
    fn of(group: Group) -> Self {
        let cost = cost(&group);
        Self { groups: vec![group], cost }
    }

    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.groups.iter().flat_map(|group| &group.changes)
    }

    /// Two batches that do the same one after the other; none where there is nothing to divide.
    pub fn halves(mut self) -> Result<(Self, Self), Group> {
        if self.groups.len() == 1
            && let Some(group) = self.groups.pop()
        {
            return Err(group);
        }
        let second = self.groups.split_off(self.groups.len() / 2);
        let batch = |groups: Vec<Group>| Self { cost: groups.iter().map(cost).fold(Cost::default(), Cost::plus), groups };
        Ok((batch(self.groups), batch(second)))
    }
}

fn cost(group: &Group) -> Cost {
    group.changes.iter().map(Cost::of).fold(Cost::default(), Cost::plus)
}

/// Packs groups in their order, no group divided. `alone` are those that failed before: they come last
/// and each by itself, so that they hold up nobody. Also the groups that fit into no batch.
pub fn pack(groups: Vec<Group>, alone: impl Fn(&Group) -> bool) -> (Vec<Batch>, Vec<Group>) {
    let (alone, together): (Vec<_>, Vec<_>) = groups.into_iter().partition(alone);
    let mut batches: Vec<Batch> = Vec::new();
    let mut too_large = Vec::new();
    for group in together {
        let cost = cost(&group);
        match batches.last_mut() {
            Some(last) if last.cost.plus(cost).fits() => {
                last.cost = last.cost.plus(cost);
                last.groups.push(group);
            }
            _ if cost.fits() => batches.push(Batch::of(group)),
            _ => too_large.push(group),
        }
    }
    for group in alone {
        if cost(&group).fits() { batches.push(Batch::of(group)) } else { too_large.push(group) }
    }
    (batches, too_large)
}

//! When records may be removed: not many at once, and not because of one look. Pure.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use super::plan::Plan;
use super::record::SetKey;

/// So many names may always be removed in one pass, however few are ours.
const REMOVALS_FLOOR: usize = 5;
/// Otherwise this share of what is ours.
const REMOVALS_PERCENT: usize = 10;

/// Why a plan's removals are not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The last look at store and zone did not find the same: the next one may.
    Unconfirmed,
    TooMany {
        removals: usize,
        max: usize,
    },
}

impl Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unconfirmed => f.write_str("removed once a second look finds the same"),
            Self::TooMany { removals, max } => {
                write!(f, "{removals} names would be removed, at most {max} are without '--force'")
            }
        }
    }
}

/// Remembers what the last pass would have removed.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    last: BTreeSet<SetKey>,
    pub force: bool,
}

impl Guard {
    pub fn new(force: bool) -> Self {
        Self { last: BTreeSet::new(), force }
    }

    /// What of the plan may be done in this pass, and why the rest may not.
    pub fn admit(&mut self, plan: Plan) -> (Plan, Option<Held>) {
        let removals = plan.removals();
        let is_confirmed = removals == self.last;
        self.last = removals;
        match held(&self.last, plan.owned, is_confirmed, self.force) {
            None => (plan, None),
            Some(held) => (plan.without_removals(), Some(held)),
        }
    }
}

fn held(removals: &BTreeSet<SetKey>, owned: usize, is_confirmed: bool, force: bool) -> Option<Held> {
    let max = REMOVALS_FLOOR.max(owned * REMOVALS_PERCENT / 100);
    if removals.is_empty() {
        None
    } else if removals.len() > max && !force {
        Some(Held::TooMany { removals: removals.len(), max })
    } else {
        (!is_confirmed).then_some(Held::Unconfirmed)
    }
}

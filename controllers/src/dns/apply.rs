//! Makes a plan's changes, batch after batch. One bad name holds up nobody else.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use super::batch::{Batch, pack};
use super::calls::Calls;
use super::plan::{Change, Group};
use super::record::SetKey;
use super::service::Refusal;

/// Names whose changes were refused, and why.
pub type Aside = BTreeMap<SetKey, String>;

/// What became of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    pub changes: usize,
    pub aside: Aside,
}

/// Makes the changes of all groups. A batch that is refused is halved until the names at fault stand alone;
/// those are set aside. `before` are those of the last pass: they are tried again, each by itself.
///
/// # Errors
/// Whatever is no fault of a change: then the rest was not tried, and what was made stands.
pub async fn make(calls: &Calls, zone: &str, groups: Vec<Group>, before: &Aside) -> Result<Made, Refusal> {
    let (batches, too_large) = pack(groups, |group| before.contains_key(&group.key));
    let mut made = Made::default();
    for group in too_large {
        made.aside.insert(group.key, "more values or characters than one batch may have".to_owned());
    }
    let mut due = VecDeque::from(batches);
    while let Some(batch) = due.pop_front() {
        let changes: Vec<Change> = batch.changes().cloned().collect();
        match calls.change(zone, &changes, batch.cost.tokens).await {
            Ok(_) => made.changes += changes.len(),
            Err(Refusal::Invalid(why)) => match Batch::halves(batch) {
                Err(group) => {
                    made.aside.insert(group.key, why);
                }
                Ok((first, second)) => {
                    due.push_front(second);
                    due.push_front(first);
                }
            },
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(made)
}

//! Sending one document to one proxy: a delta where that is possible, else the whole.

use karman_contract::answer::{Applied, Refusal};
use karman_contract::document::{Item, Stamp};

use super::decide::{Content, Has, Held, Plan, decide};
use super::known::Known;
use super::ledger::Shared;
use super::outcome::{Change, Trouble};
use crate::admin::{Admin, AdminError};
use crate::store::StoreError;

/// Why something was not sent, or not taken.
pub enum Unsent {
    /// We know more now: decide anew.
    Again,
    Refused(Refusal),
    Trouble(Trouble),
}

/// Brings one document of a proxy to `wanted`. Where the store has to go past what the proxy has,
/// `stamp` goes with it. It gets what it knows.
pub async fn send<I: Item>(
    admin: &Admin,
    has: &mut Has<I>,
    wanted: &Content<I>,
    (stamp, ledger): (&mut Stamp, &Shared),
    (known, force): (&Known, bool),
) -> Result<Option<Change>, Unsent> {
    let (answer, change) = match decide(has, wanted, *stamp) {
        Plan::Nothing => return Ok(None),
        Plan::GoPast(generation) => {
            *stamp = ledger.go_past(generation).await?;
            return Err(Unsent::Again);
        }
        Plan::Ahead(current) => {
            let problem = format!("the proxy has {current} and this store is at {stamp}: it follows another store");
            return Err(Unsent::Trouble(Trouble::Problem(problem)));
        }
        Plan::Whole => {
            let change = Change { put: wanted.items.len(), whole: true, ..Change::default() };
            (admin.put(I::DOCUMENT, known.whole(*stamp, wanted, force)).await, change)
        }
        Plan::Delta(mut delta) => {
            delta.force = force;
            let named = delta.put.keys().chain(&delta.remove).take(Change::NAMED_MAX + 1).map(ToString::to_string).collect();
            let change = Change { put: delta.put.len(), removed: delta.remove.len(), whole: false, named };
            (admin.patch(I::DOCUMENT, known.delta(&delta)).await, change)
        }
    };
    match answer {
        Ok(Applied { stamp, .. }) => {
            has.sent(Held::new(stamp, wanted.clone()));
            Ok(Some(change))
        }
        // The proxy is elsewhere than we thought: it says where, and gets the whole document.
        Err(AdminError::Refused(Refusal::BaseMismatch { current } | Refusal::Stale { current, .. })) => {
            *has = Has::Unknown(current);
            Err(Unsent::Again)
        }
        Err(AdminError::Refused(refusal)) => Err(Unsent::Refused(refusal)),
        Err(error) => {
            // It may have been applied or not.
            if let Some(stamp) = has.stamp() {
                *has = Has::Unknown(stamp);
            }
            Err(Unsent::Trouble(error.into()))
        }
    }
}

impl From<StoreError> for Unsent {
    fn from(error: StoreError) -> Self {
        Self::Trouble(error.into())
    }
}

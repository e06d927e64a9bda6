//! Sending one document to one proxy: a delta where that is possible, else the whole.

use std::io;

use karman_contract::answer::{Applied, Refusal};
use karman_contract::document::Item;

use super::decide::{Has, Held, Items, Plan, decide};
use super::ledger::Ledger;
use super::outcome::{Change, Trouble};
use crate::admin::{Admin, AdminError};

/// Why something was not sent, or not taken.
pub enum Unsent {
    /// We know more now: decide anew.
    Again,
    Refused(Refusal),
    Trouble(Trouble),
}

pub async fn send<I: Item>(
    admin: &Admin,
    has: &mut Has<I>,
    wanted: &Items<I>,
    ledger: &mut Ledger,
    force: bool,
) -> Result<Option<Change>, Unsent> {
    let stamp = ledger.revision().stamp();
    let (answer, change) = match decide(has, wanted, stamp) {
        Plan::Nothing => return Ok(None),
        Plan::GoPast(generation) => {
            ledger.go_past(generation)?;
            return Err(Unsent::Again);
        }
        Plan::Ahead(current) => {
            let problem = format!("the proxy has {current} and this store is at {stamp}: it follows another store");
            return Err(Unsent::Trouble(Trouble::Problem(problem)));
        }
        Plan::Whole => {
            let change = Change { put: wanted.len(), whole: true, ..Change::default() };
            (admin.put(stamp, wanted.iter().map(|(key, item)| (key, item.as_ref())), force).await, change)
        }
        Plan::Delta(mut delta) => {
            delta.force = force;
            let named = delta.put.keys().chain(&delta.remove).take(Change::NAMED_MAX + 1).map(ToString::to_string).collect();
            let change = Change { put: delta.put.len(), removed: delta.remove.len(), whole: false, named };
            (admin.patch(&delta).await, change)
        }
    };
    match answer {
        Ok(Applied { stamp, .. }) => {
            *has = Has::This(Held { stamp, items: wanted.clone() });
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

impl From<io::Error> for Unsent {
    fn from(error: io::Error) -> Self {
        Self::Trouble(error.into())
    }
}

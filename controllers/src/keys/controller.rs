//! The controller `keys`: makes the lists of keys that are missing, and brings in new ones in their time.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use karman_contract::yaml::read_yaml;
use serde::Serialize;
use tokio::time::sleep;
use tracing::{info, warn};

use super::{KeysFile, Use};
use crate::failure::Failure;
use crate::sealing::Sealing;
use crate::store::{Author, Expect, Key, Kind, Leased, Seen, Store, Transaction};

/// The controller's name: of its lease, and as the author of what it writes.
const NAME: &str = "keys";

/// How often the lists are looked at, and how often a second controller asks whether the first is gone.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(30);
const LOOK_SOONEST: SignedDuration = SignedDuration::from_secs(1);
const LEASE_AGAIN: Duration = Duration::from_secs(2);

/// Only one at a time works on a store; others wait their turn, for ever.
pub async fn run(store: Arc<dyn Store>, sealing: Sealing) -> Result<(), Failure> {
    let mut is_told = false;
    loop {
        tend_under_lease(store.as_ref(), &sealing, &mut is_told).await;
        sleep(LEASE_AGAIN).await;
    }
}

/// Tends to the lists for as long as nobody else does; what goes wrong is said and tried again.
async fn tend_under_lease(store: &dyn Store, sealing: &Sealing, is_told: &mut bool) {
    let lease = match store.lease(NAME).await {
        Ok(Leased::Ours(lease)) => lease,
        Ok(Leased::Theirs(who)) => {
            if !std::mem::replace(is_told, true) {
                let who = who.unwrap_or_else(|| "another process".to_owned());
                info!("{who} works on the keys of {}; this one stands by", store.place());
            }
            return;
        }
        Err(error) => return warn!("{error}"),
    };
    *is_told = false;
    info!("this one works on the keys of {}", store.place());
    loop {
        let mut next = Timestamp::now() + LOOK_EVERY;
        for list in Use::ALL {
            let tended = async {
                let (mut file, expect, is_new) = read_or_make(store, list, sealing).await?;
                let changed = file.tend(list, sealing, Timestamp::now())? || is_new;
                if changed {
                    let transaction = put(list.id(), expect, &file, Author::controller(NAME))?;
                    store.commit(&transaction.under(&lease)).await?;
                    info!("the {} keys changed: {} sign or did", list.id(), file.keys.len());
                }
                Ok::<_, Failure>(file.tend_at(list))
            };
            match tended.await {
                Ok(at) => next = at.map_or(next, |at| next.min(at)),
                Err(failure) => warn!("the {} keys: {failure}", list.id()),
            }
        }
        let wait = Timestamp::now().duration_until(next).max(LOOK_SOONEST);
        tokio::select! {
            () = sleep(Duration::try_from(wait).unwrap_or_default()) => {}
            () = lease.lost() => return warn!("another process may work on the keys by now; this one stands by"),
        }
    }
}

/// A list as it stands, or a new one; with what a write of it expects to find, and whether it is new.
pub(super) async fn read_or_make(store: &dyn Store, list: Use, sealing: &Sealing) -> Result<(KeysFile, Expect, bool), Failure> {
    let seen = store.look(&Key::new(Kind::Keys, list.id())).await?;
    match &seen {
        Seen::Nothing => Ok((KeysFile::new(list, sealing, Timestamp::now())?, Expect::Absent, true)),
        Seen::Unreadable(mistakes) => Err(Failure::data(mistakes.to_string())),
        Seen::Text(text) => {
            let file = read_yaml(&text.file, &text.text).map_err(|mistakes| Failure::data(mistakes.to_string()))?;
            Ok((file, seen.unchanged(), false))
        }
    }
}

pub(super) fn put<'a>(id: &str, expect: Expect, file: &impl Serialize, author: Author) -> Result<Transaction<'a>, Failure> {
    let text = serde_json::to_string_pretty(file).map_err(|error| Failure::data(error.to_string()))?;
    Ok(Transaction::new(author).put(Key::new(Kind::Keys, id), expect, text))
}

//! When orders were made at each CA lately: `status/certificates/orders`. One that failed leaves no other trace, and counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::budget::ORDERS_WITHIN;
use crate::store::{Author, Expect, Key, Kind, Store, StoreError, Transaction};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Made {
    by_ca: BTreeMap<String, Vec<Timestamp>>,
}

impl Made {
    /// What cannot be read, of another release say, is as good as nothing: what was issued counts all the same.
    pub async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let seen = store.look(&key()).await?;
        Ok(seen.text().and_then(|text| serde_json::from_str(&text.text).ok()).unwrap_or_default())
    }

    pub fn at(&self, ca: &str) -> &[Timestamp] {
        self.by_ca.get(ca).map(Vec::as_slice).unwrap_or_default()
    }

    /// Adds an order, and drops what counts no more.
    pub fn add(&mut self, ca: &str, at: Timestamp) {
        self.by_ca.entry(ca.to_owned()).or_default().push(at);
        self.by_ca.values_mut().for_each(|orders| orders.retain(|before| *before > at - ORDERS_WITHIN));
        self.by_ca.retain(|_, orders| !orders.is_empty());
    }

    pub fn written<'a>(&self) -> Result<Transaction<'a>, StoreError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok(Transaction::new(Author::controller(super::NAME)).put(key(), Expect::Anything, text + "\n"))
    }
}

fn key() -> Key {
    Key::new(Kind::Status, "certificates/orders")
}

//! The history of an entry in etcd: a key for each change, written in the same transaction as the change.

use etcd_client::{Client, Compare, Error, GetOptions, KeyValue, PutResponse, SortOrder, SortTarget, TxnOp};
use jiff::Timestamp;

use super::{Etcd, get, is_absent};
use crate::store::history::CHANGES_MAX;
use crate::store::{Author, Change, Key, StoreError};

impl Etcd {
    /// The last changes of an entry, oldest first.
    pub(super) async fn changes(&self, key: &Key) -> Result<Vec<Change>, StoreError> {
        let folder = self.history_of(key);
        let (entries, _) = self.range(&format!("{folder}/"), &format!("{folder}0"), 0).await?;
        entries.iter().map(read).collect()
    }

    /// The newest change of an entry.
    pub(super) async fn last_change(&self, key: &Key) -> Result<Option<Change>, StoreError> {
        let folder = self.history_of(key);
        let (from, end) = (format!("{folder}/"), format!("{folder}0"));
        let newest = GetOptions::new().with_range(end.as_str()).with_sort(SortTarget::Key, SortOrder::Descend).with_limit(1);
        let answer = self.call(|client| get(client, from.clone().into_bytes(), newest.clone())).await?;
        answer.kvs().first().map(read).transpose()
    }

    /// A change, what writes it down, and what has to hold for it: that nobody takes its number. None
    /// if the last change left the entry so.
    pub(super) async fn record(
        &self,
        key: &Key,
        author: &Author,
        text: Option<&str>,
    ) -> Result<Option<(Change, Compare, Vec<TxnOp>)>, StoreError> {
        let folder = self.history_of(key);
        let last = self.last_change(key).await?;
        if last.as_ref().map_or_else(|| text.is_none(), |last| last.text.as_deref() == text) {
            return Ok(None);
        }
        let last = last.map_or(0, |change| change.number);
        let Author { by, why } = author.clone();
        let change = Change { number: last + 1, at: Timestamp::now(), by, why, text: text.map(str::to_owned) };
        let name = change_name(&folder, change.number);
        let value = serde_json::to_vec(&change).map_err(|error| StoreError::Refused(error.to_string()))?;
        let mut operations = vec![TxnOp::put(name.as_str(), value, None)];
        if let Some(oldest) = change.number.checked_sub(CHANGES_MAX as u64).filter(|oldest| *oldest > 0) {
            operations.push(TxnOp::delete(change_name(&folder, oldest), None));
        }
        Ok(Some((change, is_absent(&name), operations)))
    }

    pub(super) async fn adopt_changes(&self, key: &Key, changes: &[Change]) -> Result<(), StoreError> {
        let folder = self.history_of(key);
        for change in changes {
            let value = serde_json::to_vec(change).map_err(|error| StoreError::Refused(error.to_string()))?;
            let name = change_name(&folder, change.number);
            self.call(|client| put(client, name.clone(), value.clone())).await?;
        }
        Ok(())
    }

    fn history_of(&self, key: &Key) -> String {
        self.name(&format!(".history/{key}"))
    }
}

async fn put(client: Client, name: String, value: Vec<u8>) -> Result<PutResponse, Error> {
    client.kv_client().put(name, value, None).await
}

/// The names sort like the numbers.
fn change_name(folder: &str, number: u64) -> String {
    format!("{folder}/{number:010}")
}

fn read(entry: &KeyValue) -> Result<Change, StoreError> {
    serde_json::from_slice(entry.value()).map_err(|error| {
        let name = String::from_utf8_lossy(entry.key());
        StoreError::Refused(format!("{name} cannot be read: {error}"))
    })
}

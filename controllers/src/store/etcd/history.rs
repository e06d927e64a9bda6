//! The history of an entry in etcd: a key for each change, written in the same transaction as the change.

use etcd_client::{Client, Compare, Error, GetOptions, PutResponse, SortOrder, SortTarget, TxnOp};
use jiff::Timestamp;

use super::{Etcd, get, is_absent};
use crate::store::history::CHANGES_MAX;
use crate::store::{Author, Change, History, Key, StoreError};

impl Etcd {
    pub(super) async fn changes(&self, key: &Key) -> Result<History, StoreError> {
        let folder = self.history_of(key);
        let (entries, _) = self.range(&format!("{folder}/"), &format!("{folder}0"), 0).await?;
        Ok(History::read(entries.iter().map(|entry| (String::from_utf8_lossy(entry.key()).into_owned(), entry.value()))))
    }

    /// The number of the newest change of an entry, and the change itself if it can be read.
    pub(super) async fn last_change(&self, key: &Key) -> Result<Option<(u64, Option<Change>)>, StoreError> {
        let folder = self.history_of(key);
        let (from, end) = (format!("{folder}/"), format!("{folder}0"));
        let newest = GetOptions::new().with_range(end.as_str()).with_sort(SortTarget::Key, SortOrder::Descend).with_limit(1);
        let answer = self.call(|client| get(client, from.clone().into_bytes(), newest.clone())).await?;
        let Some(newest) = answer.kvs().first() else { return Ok(None) };
        let change = serde_json::from_slice::<Change>(newest.value()).ok();
        let number = newest.key_str().ok().and_then(|name| name.rsplit_once('/')?.1.parse().ok());
        let number = number.ok_or_else(|| {
            StoreError::Refused(format!("{} is not the name of a change", String::from_utf8_lossy(newest.key())))
        })?;
        Ok(Some((number, change)))
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
        let last = match self.last_change(key).await? {
            None if text.is_none() => return Ok(None),
            Some((_, Some(last))) if last.text.as_deref() == text => return Ok(None),
            last => last.map_or(0, |(number, _)| number),
        };
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

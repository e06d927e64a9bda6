//! Writing to etcd: one transaction, compared with what was expected, with its place in the history.

use etcd_client::{Compare, CompareOp, Txn, TxnOp};

use super::{Etcd, is_absent, version};
use crate::store::lease::Fence;
use crate::store::{Expect, StoreError, Transaction, Write};

/// How often a transaction is put together anew because only what it did not compare had changed.
const TRIES_MAX: usize = 5;

impl Etcd {
    pub(super) async fn write_together(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        if let Some(mistake) = transaction.mistake() {
            return Err(StoreError::Refused(mistake));
        }
        for _ in 0..TRIES_MAX {
            let (compares, operations) = self.put_together(transaction).await?;
            let txn = Txn::new().when(compares).and_then(operations);
            let answer = self.call(|client| commit(client, txn.clone())).await?;
            if answer.succeeded() {
                return Ok(());
            }
            if self.is_done(transaction).await? {
                // An earlier try was heard, and its answer was lost.
                return Ok(());
            }
            self.say_why(transaction).await?;
        }
        let key = transaction.writes.first().map(|write| write.key.clone());
        Err(key.map_or_else(|| StoreError::Refused("nothing to write".to_owned()), StoreError::Changed))
    }

    async fn put_together(&self, transaction: &Transaction<'_>) -> Result<(Vec<Compare>, Vec<TxnOp>), StoreError> {
        let (mut compares, mut operations) = (Vec::new(), Vec::new());
        match transaction.under.map(|lease| (lease, &lease.fence)) {
            Some((_, Fence::Key { key, created, .. })) => {
                compares.push(Compare::create_revision(key.as_str(), CompareOp::Equal, *created));
            }
            Some((lease, Fence::Lock(_))) => return Err(StoreError::LeaseLost(lease.name.clone())),
            None => {}
        }
        for Write { key, expect, text } in &transaction.writes {
            let name = self.name_of(key);
            match expect {
                Expect::Anything => {}
                Expect::Absent => compares.push(is_absent(&name)),
                Expect::Version(version) => {
                    compares.push(Compare::mod_revision(name.as_str(), CompareOp::Equal, version.0.parse().unwrap_or(-1)));
                }
            }
            operations.push(match text {
                Some(text) => TxnOp::put(name.as_str(), text.as_str(), None),
                None => TxnOp::delete(name.as_str(), None),
            });
            if key.kind.has_history() {
                let (compare, mut recorded) = self.record(key, &transaction.author, text.as_deref()).await?;
                compares.push(compare);
                operations.append(&mut recorded);
            }
        }
        Ok((compares, operations))
    }

    /// Whether all entries are as the transaction would leave them, in one revision.
    async fn is_done(&self, transaction: &Transaction<'_>) -> Result<bool, StoreError> {
        let mut revisions = Vec::new();
        for Write { key, text, .. } in &transaction.writes {
            let (entry, _) = self.get(&self.name_of(key)).await?;
            if entry.as_ref().map(|entry| entry.value()) != text.as_deref().map(str::as_bytes) {
                return Ok(false);
            }
            revisions.extend(entry.map(|entry| entry.mod_revision()));
        }
        revisions.dedup();
        Ok(revisions.len() == 1)
    }

    /// Names what stood in the way; nothing does if only the history was written to meanwhile.
    async fn say_why(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        if let Some(lease) = transaction.under
            && let Fence::Key { key, created, .. } = &lease.fence
        {
            let (entry, _) = self.get(key).await?;
            if entry.is_none_or(|entry| entry.create_revision() != *created) {
                return Err(StoreError::LeaseLost(lease.name.clone()));
            }
        }
        for Write { key, expect, .. } in &transaction.writes {
            let (entry, _) = self.get(&self.name_of(key)).await?;
            let is_as_expected = match expect {
                Expect::Anything => true,
                Expect::Absent => entry.is_none(),
                Expect::Version(wanted) => entry.is_some_and(|entry| version(&entry) == *wanted),
            };
            if !is_as_expected {
                return Err(StoreError::Changed(key.clone()));
            }
        }
        Ok(())
    }
}

async fn commit(client: etcd_client::Client, txn: Txn) -> Result<etcd_client::TxnResponse, etcd_client::Error> {
    client.kv_client().txn(txn).await
}

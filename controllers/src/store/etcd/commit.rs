//! Writing to etcd: one transaction, compared with what was expected, with its place in the history.

use etcd_client::{Compare, CompareOp, Txn, TxnOp};

use tokio::time::sleep;

use super::{AGAIN, Etcd, is_absent, version};
use crate::store::lease::Fence;
use crate::store::{Change, Expect, Key, StoreError, Transaction, Write};

/// How often a transaction is tried: put together anew because only what it did not compare had
/// changed, or because nobody answered.
const TRIES_MAX: usize = 6;

/// A transaction as etcd takes it.
struct Prepared {
    txn: Txn,
    /// What it writes into the history, by which we know it again.
    changes: Vec<(Key, Change)>,
}

impl Etcd {
    pub(super) async fn write_together(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        if let Some(mistake) = transaction.mistake() {
            return Err(StoreError::Refused(mistake));
        }
        // What was sent and not answered may have been done.
        let mut unanswered = None;
        let mut tries = 0;
        loop {
            tries += 1;
            let prepared = self.prepare(transaction).await?;
            let error = match self.call_once(|client| commit(client, prepared.txn.clone())).await {
                Ok(answer) if answer.succeeded() => return Ok(()),
                Ok(_) if self.is_done(transaction, unanswered.as_ref()).await? => return Ok(()),
                Ok(_) => {
                    self.say_why(transaction).await?;
                    StoreError::Unreachable("the history of the entries changes all the time".to_owned())
                }
                Err(error @ StoreError::Unreachable(_)) => {
                    unanswered = Some(prepared);
                    sleep(AGAIN).await;
                    error
                }
                Err(error) => return Err(error),
            };
            if tries == TRIES_MAX {
                return Err(error);
            }
        }
    }

    async fn prepare(&self, transaction: &Transaction<'_>) -> Result<Prepared, StoreError> {
        let (mut compares, mut operations, mut changes) = (Vec::new(), Vec::new(), Vec::new());
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
            if key.kind.has_history()
                && let Some((change, compare, mut recorded)) = self.record(key, &transaction.author, text.as_deref()).await?
            {
                changes.push((key.clone(), change));
                compares.push(compare);
                operations.append(&mut recorded);
            }
        }
        Ok(Prepared { txn: Txn::new().when(compares).and_then(operations), changes })
    }

    /// Whether a try that was not answered was done all the same: its texts stand there, and its
    /// changes are the newest of the history.
    async fn is_done(&self, transaction: &Transaction<'_>, unanswered: Option<&Prepared>) -> Result<bool, StoreError> {
        let Some(unanswered) = unanswered else { return Ok(false) };
        for (key, change) in &unanswered.changes {
            let last = self.last_change(key).await?.and_then(|(_, last)| last);
            if last.as_ref() != Some(change) {
                return Ok(false);
            }
        }
        for Write { key, text, .. } in &transaction.writes {
            let (entry, _) = self.get(&self.name_of(key)).await?;
            if entry.as_ref().map(|entry| entry.value()) != text.as_deref().map(str::as_bytes) {
                return Ok(false);
            }
        }
        Ok(true)
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

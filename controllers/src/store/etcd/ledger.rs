//! The revision of an etcd store: etcd's own, plus what is needed to stay ahead of the proxies.

use async_trait::async_trait;
use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use karman_contract::document::Stamp;
use serde::{Deserialize, Serialize};

use super::{Etcd, is_absent};
use crate::store::ledger::epoch_after;
use crate::store::{Ledger, StoreError};

/// How often another publisher may be faster than we are.
const TRIES_MAX: usize = 10;

/// `.ledger`: how the proxies' stamps follow from etcd's revisions. All publishers share it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Numbering {
    epoch: u64,
    /// Added to etcd's revision.
    plus: u64,
}

pub(super) struct EtcdLedger {
    store: Etcd,
    numbering: Numbering,
    revision: u64,
}

impl EtcdLedger {
    pub(super) async fn open(store: Etcd) -> Result<Self, StoreError> {
        let mut ledger = Self { store, numbering: Numbering::default(), revision: 0 };
        ledger.renumber(|numbering, _| numbering).await?;
        Ok(ledger)
    }

    /// Changes the numbering, whoever else does so; one that is missing belongs to a store that was
    /// made just now. Writing it makes a new revision of etcd.
    async fn renumber(&mut self, change: impl Fn(Numbering, u64) -> Numbering + Send) -> Result<(), StoreError> {
        let name = self.store.name(".ledger");
        for _ in 0..TRIES_MAX {
            let (entry, revision) = self.store.get(&name).await?;
            let compare = match &entry {
                Some(entry) => Compare::mod_revision(name.as_str(), CompareOp::Equal, entry.mod_revision()),
                None => is_absent(&name),
            };
            let numbering = match &entry {
                Some(entry) => serde_json::from_slice(entry.value())
                    .map_err(|error| StoreError::Refused(format!("{name} cannot be read: {error}")))?,
                None => Numbering { epoch: epoch_after(self.numbering.epoch), plus: 0 },
            };
            let next = change(numbering, revision.unsigned_abs() + 1);
            if entry.is_some() && next == numbering && self.revision == 0 {
                (self.numbering, self.revision) = (numbering, revision.unsigned_abs());
                return Ok(());
            }
            let value = serde_json::to_vec(&next).map_err(|error| StoreError::Refused(error.to_string()))?;
            let txn = Txn::new().when([compare]).and_then([TxnOp::put(name.as_str(), value, None)]);
            let answer = self.store.call(|client| put(client, txn.clone())).await?;
            if answer.succeeded() {
                let revision = answer.header().map_or(revision, |header| header.revision());
                (self.numbering, self.revision) = (next, revision.unsigned_abs());
                return Ok(());
            }
        }
        Err(StoreError::Unreachable(format!("{name} changes faster than it can be written")))
    }
}

#[async_trait]
impl Ledger for EtcdLedger {
    fn stamp(&self) -> Stamp {
        Stamp { epoch: self.numbering.epoch, generation: self.revision + self.numbering.plus }
    }

    async fn advance(&mut self, revision: u64) -> Result<(), StoreError> {
        // Another publisher may have renumbered meanwhile; and a store that lost its data is a new one.
        self.revision = 0;
        let before = self.numbering;
        self.renumber(|numbering, _| numbering).await?;
        if self.numbering == before || self.revision > revision {
            self.revision = self.revision.max(revision);
        }
        Ok(())
    }

    async fn go_past(&mut self, generation: u64) -> Result<(), StoreError> {
        self.renumber(|numbering, revision| {
            // The write itself makes the next revision, which is mostly enough.
            let plus = numbering.plus.max((generation + 1).saturating_sub(revision));
            Numbering { plus, ..numbering }
        })
        .await
    }

    async fn begin_epoch_after(&mut self, epoch: u64) -> Result<(), StoreError> {
        self.renumber(|numbering, _| Numbering { epoch: epoch_after(epoch.max(numbering.epoch)), plus: 0 }).await
    }
}

async fn put(client: etcd_client::Client, txn: Txn) -> Result<etcd_client::TxnResponse, etcd_client::Error> {
    client.kv_client().txn(txn).await
}

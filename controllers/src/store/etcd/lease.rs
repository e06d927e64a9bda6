//! Leases of etcd: a key that exists for as long as its holder keeps it alive.

use std::time::Duration;

use etcd_client::{Client, PutOptions, Txn, TxnOp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Etcd, is_absent};
use crate::store::follow::Task;
use crate::store::lease::{Fence, holder};
use crate::store::{Lease, Leased, StoreError};

/// A holder that was not heard of for this long has lost its lease.
pub const TTL: Duration = Duration::from_secs(10);
/// Three words may be lost before the lease is.
const KEEP_EVERY: Duration = Duration::from_millis(2_500);

impl Etcd {
    pub(super) async fn take_lease(&self, name: &str) -> Result<Leased, StoreError> {
        let key = self.lease_name(name);
        if let (Some(theirs), _) = self.get(&key).await? {
            return Ok(Leased::Theirs(theirs.value_str().ok().map(str::to_owned)));
        }
        let ttl = i64::try_from(TTL.as_secs()).unwrap_or(i64::MAX);
        let asked = Instant::now();
        let id = self.call(|client| async move { client.lease_client().grant(ttl, None).await }).await?.id();
        let put = TxnOp::put(key.as_str(), holder(), Some(PutOptions::new().with_lease(id)));
        let txn = Txn::new().when([is_absent(&key)]).and_then([put]);
        // Not tried again: whoever is not sure to have it does not have it, and it runs out by itself.
        let taken = tokio::time::timeout(super::CALL_TIME_MAX, self.client.kv_client().txn(txn)).await;
        let taken = taken.map_err(|_| super::too_slow())?.map_err(super::unreachable)?;
        if !taken.succeeded() {
            let _ = self.call(|client| async move { client.lease_client().revoke(id).await }).await;
            return Ok(Leased::Theirs(self.get(&key).await?.0.and_then(|entry| entry.value_str().ok().map(str::to_owned))));
        }
        let created = taken.header().map_or(0, |header| header.revision());
        let (lose, lost) = watch::channel(false);
        let keeper = Task::spawn(keep(self.client.clone(), id, asked, lose));
        Ok(Leased::Ours(Lease { name: name.to_owned(), fence: Fence::Key { key, created, _keeper: keeper }, lost }))
    }

    pub(super) fn lease_name(&self, name: &str) -> String {
        self.name(&format!(".leases/{name}"))
    }
}

/// Keeps a lease alive until it is lost; gives it back when the keeper is dropped.
async fn keep(client: Client, id: i64, asked: Instant, lose: watch::Sender<bool>) {
    let _revoke = Revoke { client: client.clone(), id };
    // Counted from when it was asked for, so that we know of a loss no later than etcd.
    let mut until = asked + TTL;
    while let Ok(kept) = timeout_at(until, keep_once(&client, id)).await {
        match kept {
            Ok(since) => until = since + TTL,
            // It ran out.
            Err(false) => break,
            // Nobody answers; somebody may before it runs out.
            Err(true) => sleep(super::AGAIN).await,
        }
        if kept.is_ok() {
            sleep(KEEP_EVERY).await;
        }
    }
    let _ = lose.send(true);
    // The lease's owner drops us.
    std::future::pending().await
}

/// Since when it is kept; or whether it is worth another try.
async fn keep_once(client: &Client, id: i64) -> Result<Instant, bool> {
    let asked = Instant::now();
    match client.lease_client().keep_alive(id).await {
        Ok(_) => Ok(asked),
        Err(etcd_client::Error::LeaseKeepAliveError(_)) => Err(false),
        Err(_) => Err(true),
    }
}

/// Gives a lease back, so that the next one need not wait for it to run out.
struct Revoke {
    client: Client,
    id: i64,
}

impl Drop for Revoke {
    fn drop(&mut self) {
        let (client, id) = (self.client.clone(), self.id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(client.lease_client().revoke(id).await) });
        }
    }
}

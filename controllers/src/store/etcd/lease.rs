//! Leases of etcd: a key that exists for as long as its holder keeps it alive.

use std::sync::LazyLock;
use std::time::Duration;

use etcd_client::{Client, PutOptions, Txn, TxnOp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Etcd, is_absent};
use crate::store::follow::Task;
use crate::store::lease::{Fence, holder};
use crate::store::{Lease, Leased, StoreError};

/// A holder that was not heard of for this long has lost its lease.
pub const TTL: Duration = Duration::from_secs(10);
/// Three words may be lost before the lease is.
const KEEP_EVERY: Duration = Duration::from_millis(2_500);
/// How long a process that ends waits for etcd to take its leases back; what is not taken runs out.
const GIVE_BACK_MAX: Duration = Duration::from_secs(1);

/// How many leases this process has, those among them that are being given back.
static OURS: LazyLock<watch::Sender<usize>> = LazyLock::new(watch::Sender::default);

/// Waits until the leases that were dropped are given back. Without it a process ends too soon, and the next one waits
/// until its leases run out.
pub async fn given_back() {
    let mut ours = OURS.subscribe();
    // One that etcd does not take back in time is no trouble of whoever ends.
    let _ = timeout(GIVE_BACK_MAX, ours.wait_for(|ours| *ours == 0)).await;
}

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
        let taken = timeout(super::CALL_TIME_MAX, self.client.kv_client().txn(txn)).await;
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
    let _revoke = Revoke::new(client.clone(), id);
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

impl Revoke {
    fn new(client: Client, id: i64) -> Self {
        OURS.send_modify(|ours| *ours += 1);
        Self { client, id }
    }
}

impl Drop for Revoke {
    fn drop(&mut self) {
        let (client, id) = (self.client.clone(), self.id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // It runs out by itself where etcd does not answer.
                let _ = client.lease_client().revoke(id).await;
                OURS.send_modify(|ours| *ours -= 1);
            });
        }
    }
}

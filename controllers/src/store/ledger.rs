//! The count of revisions that proxies see: never given twice, whatever dies or is restored.

use async_trait::async_trait;
use karman_contract::document::Stamp;

use super::StoreError;

/// The stamp in hand. It is durable in the store before a proxy hears of it.
#[async_trait]
pub trait Ledger: Send {
    fn stamp(&self) -> Stamp;

    /// The content in use has changed; it was read at this revision of the store.
    async fn advance(&mut self, revision: u64) -> Result<(), StoreError>;

    /// A proxy has something else under our generation or a later one.
    async fn go_past(&mut self, generation: u64) -> Result<(), StoreError>;

    /// An operator says that this store wins over the one of that epoch.
    async fn begin_epoch_after(&mut self, epoch: u64) -> Result<(), StoreError>;
}

/// The epoch of a store that is made now, later than `epoch` whatever the clock says.
pub(super) fn epoch_after(epoch: u64) -> u64 {
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    now.max(epoch + 1)
}

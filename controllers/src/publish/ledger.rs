//! The store's ledger, shared by the edges of one publisher.

use std::sync::Arc;

use karman_contract::document::Stamp;
use tokio::sync::Mutex;

use crate::store::{Ledger, StoreError};

#[derive(Clone)]
pub struct Shared(Arc<Mutex<Box<dyn Ledger>>>);

impl Shared {
    pub fn new(ledger: Box<dyn Ledger>) -> Self {
        Self(Arc::new(Mutex::new(ledger)))
    }

    pub async fn stamp(&self) -> Stamp {
        self.0.lock().await.stamp()
    }

    pub async fn advance(&self, revision: u64) -> Result<Stamp, StoreError> {
        let mut ledger = self.0.lock().await;
        ledger.advance(revision).await?;
        Ok(ledger.stamp())
    }

    pub async fn go_past(&self, generation: u64) -> Result<Stamp, StoreError> {
        let mut ledger = self.0.lock().await;
        ledger.go_past(generation).await?;
        Ok(ledger.stamp())
    }

    pub async fn begin_epoch_after(&self, epoch: u64) -> Result<Stamp, StoreError> {
        let mut ledger = self.0.lock().await;
        ledger.begin_epoch_after(epoch).await?;
        Ok(ledger.stamp())
    }
}

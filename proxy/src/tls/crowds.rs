//! How many handshakes of one client network run at once: whoever begins many and finishes none holds up only its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::vitals::lock;

/// The part of all handshakes that one network may have: thousands a second, for those who finish theirs.
const SHARE: usize = 16;

/// The networks of which somebody shakes hands now: no more of them than there are connections.
#[derive(Debug)]
pub(super) struct Crowds {
    most: usize,
    open: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// A permit for one of the handshakes of a network, given back when dropped.
pub(super) struct Permit<'c> {
    crowds: &'c Crowds,
    network: IpAddr,
    handshakes: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Crowds {
    /// Of so many handshakes in all.
    pub(super) fn new(handshakes: usize) -> Self {
        Self { most: (handshakes / SHARE).max(1), open: Mutex::default() }
    }

    /// Waits for a permit until `deadline`.
    pub(super) async fn enter(&self, network: IpAddr, deadline: Instant) -> Option<Permit<'_>> {
        let handshakes = Arc::clone(lock(&self.open).entry(network).or_insert_with(|| Arc::new(Semaphore::new(self.most))));
        // Made before the wait, so that whoever gives up takes the network out too.
        let mut permit = Permit { crowds: self, network, handshakes, held: None };
        permit.held = Some(timeout_at(deadline, Arc::clone(&permit.handshakes).acquire_owned()).await.ok()?.ok()?);
        Some(permit)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut open = lock(&self.crowds.open);
        // The map's and ours. Nobody gets at it meanwhile.
        if Arc::strong_count(&self.handshakes) <= 2 {
            open.remove(&self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_network_waits_for_its_own_and_is_forgotten_with_its_last() {
        let crowds = Crowds::new(32);
        let (one, other) = (IpAddr::from([192, 0, 2, 0]), IpAddr::from([198, 51, 100, 0]));
        let soon = || Instant::now() + Duration::from_millis(50);
        let (first, second) = (crowds.enter(one, soon()).await, crowds.enter(one, soon()).await);
        assert!(first.is_some() && second.is_some());
        assert!(crowds.enter(one, soon()).await.is_none(), "two of 32 are its own");
        assert!(crowds.enter(other, soon()).await.is_some());
        assert_eq!(lock(&crowds.open).len(), 1);
        let waiting = crowds.enter(one, soon());
        drop(first);
        assert!(waiting.await.is_some());
        assert_eq!(lock(&crowds.open).len(), 1);
        drop(second);
        assert!(lock(&crowds.open).is_empty());
    }
}

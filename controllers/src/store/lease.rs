//! Being alone: a lease that dies with its holder, and that every write of the holder depends on.

use std::fmt::{self, Debug};

use tokio::sync::watch;

use super::dir::lock::Lock;

/// What came of asking for a lease.
#[derive(Debug)]
pub enum Leased {
    Ours(Lease),
    /// Somebody else has it; who, if it is known.
    Theirs(Option<String>),
}

/// Held until it is dropped, its process dies, or (in etcd) it is not kept alive for [`super::etcd::lease::TTL`].
pub struct Lease {
    pub name: String,
    pub(super) fence: Fence,
    /// Turns true when the lease is known to be lost.
    pub(super) lost: watch::Receiver<bool>,
}

/// What a transaction compares, so that nothing is written under a lease that was lost.
pub(super) enum Fence {
    /// The lock itself: while this process lives and holds it, nobody else has it.
    Lock(Lock),
    /// The key that exists for as long as the lease does, at the revision at which we made it.
    Key { key: String, created: i64, _keeper: super::follow::Task },
}

impl Lease {
    /// Waits until the lease is known to be lost. Writes under it fail from then on, and possibly earlier.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        // The sender goes with the lease's keeper, which ends by losing it.
        while !*lost.borrow_and_update() {
            if lost.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

impl Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who asks for a lease, for those who are told that it is taken.
pub(super) fn holder() -> String {
    let system = rustix::system::uname();
    format!("pid {} on {}", std::process::id(), system.nodename().to_string_lossy())
}

//! The store's revision: the epoch and generation that the proxies see.

use karman_contract::document::Stamp;
use serde::{Deserialize, Serialize};

/// How far the store has come. Every observed change of its content adds one to the generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// When the store was made, in seconds: a store made anew wins over the one before it.
    pub epoch: u64,
    pub generation: u64,
}

impl Revision {
    /// The revision of a store that was made just now.
    pub fn new(epoch: u64) -> Self {
        Self { epoch, generation: 0 }
    }

    pub fn stamp(self) -> Stamp {
        Stamp { epoch: self.epoch, generation: self.generation }
    }

    pub fn next(self) -> Self {
        Self { generation: self.generation + 1, ..self }
    }

    /// The next revision that is also after `generation` of this epoch.
    pub fn past(self, generation: u64) -> Self {
        Self { generation: self.generation.max(generation) + 1, ..self }
    }

    /// The first revision of a new epoch, later than `epoch` whatever the clock says.
    pub fn past_epoch(self, epoch: u64, now: u64) -> Self {
        Self { epoch: now.max(epoch.max(self.epoch) + 1), generation: 1 }
    }
}

//! Where requests wait for an instance: so many at once, and no owner has more of the seats than are free.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use karman_contract::name::Owner;

use crate::vitals::lock;

/// The waiting room of the edge. Nobody comes here while instances answer.
#[derive(Debug)]
pub struct WaitingRoom {
    seats: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Owners of whom somebody waits.
    by_owner: HashMap<Owner, usize>,
}

/// A seat, until this is dropped.
#[derive(Debug)]
pub struct Seat {
    room: Arc<WaitingRoom>,
    owner: Owner,
}

impl WaitingRoom {
    /// With so many seats; 0: nobody waits.
    pub fn new(seats: usize) -> Self {
        Self { seats, taken: Mutex::default() }
    }

    /// A seat for a request to one of the owner's apps, unless the owner has as many as are free: however many
    /// of one owner's apps are down, the next owner finds a seat.
    pub fn enter(self: &Arc<Self>, owner: &Owner) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        let own = taken.by_owner.get(owner).copied().unwrap_or(0);
        if taken.all + own >= self.seats {
            return None;
        }
        taken.all += 1;
        taken.by_owner.insert(owner.clone(), own + 1);
        Some(Seat { room: Arc::clone(self), owner: owner.clone() })
    }

    /// How much of it is used, 0 to 1.
    pub fn used_ratio(&self) -> f64 {
        lock(&self.taken).all as f64 / (self.seats as f64).max(1.0)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.room.taken);
        taken.all -= 1;
        if let Some(own) = taken.by_owner.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                taken.by_owner.remove(&self.owner);
            }
        }
    }
}

//! When slow clients are looked at: those of a thread share a small part of its time, and all others wait for no more than that.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::sleep;

use crate::clock;

/// Looks end at such steps of the clock, those of many clients together: to wake a thread costs more than to look.
const STEP_MILLIS: u64 = 20;
/// What the looks of one step may cost together, in microseconds: a fortieth of a thread. Whoever is not slow waits behind all
/// that fall into the same step.
const STEP_COST: u32 = 500;
/// A look is put off by no more steps than this, 10 s, however many slow clients there are.
const STEPS: u64 = 500;

/// What a look may lead to. The costs are rough, and count all that a look sets going: an app that is handed something works on
/// it beside the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// More of what nobody can use yet: it is no request, or no whole chunk.
    Unusable,
    /// A piece of a body, which goes to its app.
    Piece,
    /// A request goes on without the beginning of its body.
    Request,
}

impl Look {
    /// The longest that its client is left alone before it, if there is time for all.
    pub fn pause_max(self) -> Duration {
        match self {
            Self::Unusable => Duration::from_millis(1_000),
            Self::Piece | Self::Request => Duration::from_millis(200),
        }
    }

    /// In microseconds.
    fn cost(self) -> u32 {
        match self {
            Self::Unusable => 5,
            Self::Piece => 250,
            Self::Request => 500,
        }
    }
}

/// The looks to come of one thread. Pure.
#[derive(Debug)]
struct Looks {
    /// The step that was the present one when somebody last asked.
    present: u64,
    /// What the looks of each step cost, from the present one on; a step's place is its number modulo [`STEPS`].
    costs: [u32; STEPS as usize],
}

impl Looks {
    const fn new() -> Self {
        Self { present: 0, costs: [0; STEPS as usize] }
    }

    /// The moment of a look that is due at `due`, in milliseconds of the clock: in the first step that has time for it.
    fn book(&mut self, now: u64, due: u64, look: Look) -> u64 {
        self.forget_before(now / STEP_MILLIS);
        let last = self.present + STEPS - 1;
        let due = due.div_ceil(STEP_MILLIS).clamp(self.present, last);
        let has_time = |step: &u64| self.costs[place(*step)] + look.cost() <= STEP_COST;
        let step = (due..=last).find(has_time).unwrap_or(last);
        self.costs[place(step)] += look.cost();
        step * STEP_MILLIS
    }

    fn forget_before(&mut self, present: u64) {
        for step in (self.present..present).take(STEPS as usize) {
            self.costs[place(step)] = 0;
        }
        self.present = self.present.max(present);
    }
}

fn place(step: u64) -> usize {
    (step % STEPS) as usize
}

thread_local! {
    static LOOKS: RefCell<Looks> = const { RefCell::new(Looks::new()) };
}

/// Books a look that is due at `due`. When it takes place, in milliseconds of the clock as all of these.
pub fn book(now: u64, due: u64, look: Look) -> u64 {
    LOOKS.with_borrow_mut(|looks| looks.book(now, due, look))
}

/// Waits until there is time for this look.
pub async fn turn(look: Look) {
    let now = clock::millis();
    sleep(Duration::from_millis(book(now, now, look).saturating_sub(now))).await;
}

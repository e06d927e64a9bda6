//! Waiting for the other side of a connection, one direction of it, and no longer than it may take.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use karman_contract::code::Code;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;
use crate::pace::Pace;

/// Why a connection broke that the client had not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the client hears, if it can hear anything yet.
    pub code: Code,
    pub why: &'static str,
}

pub const BODY_TOO_SLOW: Fault = Fault { code: Code::RequestTimeout, why: "a body that came too slowly" };
pub(super) const ANSWER_TOO_SLOW: Fault = Fault { code: Code::RequestTimeout, why: "an answer that was taken too slowly" };

/// One direction of a connection.
pub(super) struct Waiting {
    /// `None`: as slow as it likes.
    pub(super) pace: Option<Pace>,
    /// The timer, and the moment that it was set to.
    timer: Option<(Pin<Box<Sleep>>, u64)>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self { pace: None, timer: None }
    }

    pub(super) fn moved(&mut self, bytes: usize) {
        if let Some(pace) = &mut self.pace {
            pace.moved(bytes, clock::millis);
        }
    }

    /// We wait: until when, by [`clock::millis`], if there is an end to it.
    pub(super) fn too_slow_at(&mut self) -> Option<u64> {
        self.pace.as_mut().map(|pace| pace.wait(clock::millis()))
    }

    /// Ready at the moment `at`, by [`clock::millis`].
    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, at: u64) -> Poll<()> {
        let left = Duration::from_millis(at.saturating_sub(clock::millis()));
        let (timer, set_to) = self.timer.get_or_insert_with(|| (Box::pin(sleep_until(Instant::now() + left)), at));
        if *set_to != at {
            timer.as_mut().reset(Instant::now() + left);
            *set_to = at;
        }
        timer.as_mut().poll(cx)
    }
}

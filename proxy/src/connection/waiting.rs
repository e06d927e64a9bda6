//! Waiting for the other side of a connection, one direction of it, and no longer than it may take.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use karman_contract::code::Code;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;
use crate::looks::{self, Look};
use crate::patience::Patience;

/// Why a connection broke that the client had not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the client hears, if it can hear anything yet.
    pub code: Code,
    pub why: &'static str,
}

pub const BODY_TOO_SLOW: Fault = Fault { code: Code::RequestTimeout, why: "a body that came too slowly" };
pub(super) const ANSWER_TOO_SLOW: Fault = Fault { code: Code::RequestTimeout, why: "an answer that was taken too slowly" };

/// Before patience ends there is a look: what has come by then counts.
const LAST_LOOK_MILLIS: u64 = 10;

/// One direction of a connection.
pub(super) struct Waiting {
    /// `None`: as slow as it likes.
    pub(super) patience: Option<Patience>,
    /// The timer, and the moment that it was set to.
    timer: Option<(Pin<Box<Sleep>>, u64)>,
    /// Until when a slow client is left alone, and whether it is.
    rest: Option<Pin<Box<Sleep>>>,
    is_resting: bool,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self { patience: None, timer: None, rest: None, is_resting: false }
    }

    pub(super) fn moved(&mut self, bytes: usize) {
        if let Some(patience) = &mut self.patience {
            patience.moved(bytes, clock::millis);
        }
    }

    /// Whether the other side is waited for now.
    pub(super) fn is_waiting(&self) -> bool {
        self.patience.as_ref().is_some_and(Patience::is_waiting)
    }

    /// Whether the other side lives on its patience: then it is looked at after a rest, and not when something comes.
    pub(super) fn is_slow(&self) -> bool {
        self.patience.as_ref().is_some_and(Patience::is_slow)
    }

    /// Ready when a rest is over, and it is time for a look.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>, look: Look) -> Poll<()> {
        let now = clock::millis();
        let until = if self.is_resting { now } else { self.rest_until(now, look) };
        let rest = self.rest.get_or_insert_with(|| Box::pin(sleep_until(Instant::now())));
        if !self.is_resting {
            rest.as_mut().reset(Instant::now() + Duration::from_millis(until.saturating_sub(now)));
            self.is_resting = true;
        }
        ready!(rest.as_mut().poll(cx));
        self.is_resting = false;
        Poll::Ready(())
    }

    /// When a rest ends that begins now. How long one is differs, so that clients in step do not stay so.
    fn rest_until(&mut self, now: u64, look: Look) -> u64 {
        let Some(patience) = &mut self.patience else { return now };
        let pause = patience.pause().min(look.pause_max()).mul_f64(fastrand::f64().midpoint(1.0));
        let until = looks::book(now, now.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX / 2)), look);
        match patience.wait(now).saturating_sub(LAST_LOOK_MILLIS) {
            last if last > now => until.min(last),
            _ => until,
        }
    }

    /// A new message.
    pub(super) fn start(&mut self) {
        self.is_resting = false;
        if let Some(patience) = &mut self.patience {
            patience.start();
        }
    }

    /// We wait: until when, by [`clock::millis`], if there is an end to it.
    pub(super) fn too_slow_at(&mut self) -> Option<u64> {
        self.patience.as_mut().map(|patience| patience.wait(clock::millis()))
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

//! When the server pings and when it gives up, as Meteor's `ddp-common/heartbeat.js` does.

use std::time::Duration;

use tokio::time::Instant;

/// A tick this often; a ping when nothing came since the last one.
const INTERVAL: Duration = Duration::from_secs(15);

/// A socket that never says `connect` is not kept for longer.
const CONNECT_LIMIT: Duration = Duration::from_secs(45);

pub(super) struct Heartbeat {
    next: Instant,
    heard: bool,
    awaits: Awaits,
}

#[derive(PartialEq)]
enum Awaits {
    Connect,
    Pong,
    Nothing,
}

/// What a tick demands.
#[derive(Debug, PartialEq)]
pub(super) enum Beat {
    Quiet,
    Ping,
    Dead,
}

impl Heartbeat {
    pub(super) fn before_connect(now: Instant) -> Self {
        Self { next: now + CONNECT_LIMIT, heard: false, awaits: Awaits::Connect }
    }

    pub(super) fn start(now: Instant) -> Self {
        Self { next: now + INTERVAL, heard: false, awaits: Awaits::Nothing }
    }

    /// Any message is as good as a pong.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn beat(&mut self, now: Instant) -> Beat {
        let heard = std::mem::take(&mut self.heard);
        let (awaits, beat) = match self.awaits {
            Awaits::Connect => return Beat::Dead,
            _ if heard => (Awaits::Nothing, Beat::Quiet),
            Awaits::Nothing => (Awaits::Pong, Beat::Ping),
            Awaits::Pong => return Beat::Dead,
        };
        self.next = now + INTERVAL;
        self.awaits = awaits;
        beat
    }
}

#[cfg(test)]
mod tests;

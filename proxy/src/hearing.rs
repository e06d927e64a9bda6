//! How long the beginning of a body is waited for: until then its request is nobody's. Pure.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// So much of a body is no drip: its request goes on, however slowly it came, and a piece as large is late only where its app is
/// slow.
pub const HEARD_BYTES: usize = 4_096;
/// After this time a request goes on with the next piece of its body, if its client keeps the rate; and without any piece, if
/// it may be one side of a conversation.
const HEARING: Duration = Duration::from_millis(100);
/// Whoever sent a part and then nothing for so long does not drip: it waits for what the app says to that.
const SILENCE: Duration = Duration::from_secs(2);

/// What came of a body, and how.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    pub bytes: usize,
    pub is_whole: bool,
    /// It is in pieces of which an app can make something, chunks say, and none of them is there in part.
    pub is_in_pieces: bool,
    /// Since when it is waited for.
    pub since: Duration,
    /// How much longer the client may say nothing.
    pub patience: Duration,
    /// Whether it lives on its patience.
    pub is_slow: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    GoOn,
    /// If nothing comes within this time, the request goes on as it is.
    WaitAndGoOn(Duration),
    /// If nothing comes within this time, its client has been too slow.
    WaitAndRefuse(Duration),
}

impl Heard {
    /// Whole chunks may be one side of a conversation and are waited for no longer; nobody makes anything of a part of one.
    pub fn next(&self) -> Next {
        let is_usable = self.is_in_pieces || (!self.is_slow && self.since >= HEARING);
        if self.is_whole || self.bytes >= HEARD_BYTES || (self.bytes > 0 && is_usable) {
            return Next::GoOn;
        }
        let quiet = match self.bytes {
            0 if self.is_in_pieces => HEARING,
            0 => Duration::MAX,
            _ => SILENCE,
        };
        if quiet < self.patience { Next::WaitAndGoOn(quiet) } else { Next::WaitAndRefuse(self.patience) }
    }
}

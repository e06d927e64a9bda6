//! A token bucket: how long to wait, so that calls stay under a rate. Pure: the time comes in.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// Holds `burst` tokens and gets `per_second` of them back.
#[derive(Clone, Debug)]
pub struct Bucket {
    burst: f64,
    per_second: f64,
    /// Below zero: what was taken in advance, and is being waited for.
    tokens: f64,
    at: Duration,
}

impl Bucket {
    pub fn new(burst: u32, per_second: u32) -> Self {
        Self { burst: burst.into(), per_second: per_second.max(1).into(), tokens: burst.into(), at: Duration::ZERO }
    }

    /// Takes tokens, and says how long to wait before they are there. `now` is the time since any
    /// fixed moment. More than a whole bucket is waited for, not refused.
    pub fn take(&mut self, tokens: u32, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.per_second).min(self.burst) - f64::from(tokens);
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.per_second)
    }

    /// The service said that it was too much, whoever else spent it: nothing is left.
    pub fn empty(&mut self, now: Duration) {
        self.at = self.at.max(now);
        self.tokens = self.tokens.min(0.0);
    }
}

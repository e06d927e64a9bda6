//! What became of handshakes, counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Full,
    Resumed,
    /// A CA has seen the proof that it asked for (tls-alpn-01).
    Challenge,
    /// Nobody has this name, or nothing to prove for it.
    UnknownName,
    /// An app has this name, and there is no certificate for it.
    CertificateMissing,
    /// It would have waited for its turn longer than a handshake may take.
    OverLimit,
    TimedOut,
    /// The client broke off, or spoke no TLS that we speak.
    Failed,
}

impl Outcome {
    pub const ALL: [Self; 8] = [
        Self::Full,
        Self::Resumed,
        Self::Challenge,
        Self::UnknownName,
        Self::CertificateMissing,
        Self::OverLimit,
        Self::TimedOut,
        Self::Failed,
    ];

    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Challenge => "challenge",
            Self::UnknownName => "unknown-name",
            Self::CertificateMissing => "certificate-missing",
            Self::OverLimit => "over-limit",
            Self::TimedOut => "timed-out",
            Self::Failed => "failed",
        }
    }
}

/// Handshakes by outcome.
#[derive(Debug, Default)]
pub struct Outcomes([AtomicU64; Outcome::ALL.len()]);

impl Outcomes {
    pub(super) fn of(&self, outcome: Outcome) -> &AtomicU64 {
        &self.0[outcome as usize]
    }

    pub fn counts(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().map(|outcome| (outcome, self.of(outcome).load(Relaxed)))
    }
}

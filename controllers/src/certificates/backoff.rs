//! How long a name waits after a failure: 1, 10, 100 minutes, then a day, as Let's Encrypt asks of hosters.

use jiff::{SignedDuration, Timestamp};

const WAITS: [SignedDuration; 3] = [SignedDuration::from_mins(1), SignedDuration::from_mins(10), SignedDuration::from_mins(100)];
const THEN: SignedDuration = SignedDuration::from_hours(24);
/// The longest wait where it was not the name that failed: what ails a CA, or us, may be over in a moment.
const ELSEWHERE_MAX: SignedDuration = SignedDuration::from_mins(60);
/// A wait becomes longer by up to this share, so that names which failed together do not come back together.
const JITTER: f64 = 0.1;
/// Failures that are worth telling somebody about: those after which a name waits for a day.
pub const FAILING: u32 = 4;

/// When a name that failed for the `failures`th time in a row may be tried again. A wait that the CA
/// asked for counts if it is longer.
pub fn retry_at(failures: u32, is_elsewhere: bool, asked: Option<SignedDuration>, now: Timestamp, chance: f64) -> Timestamp {
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = WAITS.get(index).copied().unwrap_or(THEN);
    let wait = if is_elsewhere { wait.min(ELSEWHERE_MAX) } else { wait }.max(asked.unwrap_or_default());
    now + wait + wait.mul_f64(JITTER * chance.clamp(0.0, 1.0))
}

//! When a certificate is renewed. Pure: the time and chance come in as arguments.
//!
//! What the CA says (ARI, RFC 9773) comes first, but is never trusted alone: the backstop is a
//! share of the certificate's life, and shortly before the end nothing else counts any more.

use jiff::{SignedDuration, Timestamp};

use super::entry::{CertificateFile, RenewalWindow, Source};

/// Certificates that live shorter than this are renewed at half of their life, others with a third left.
const SHORT_LIFE: SignedDuration = SignedDuration::from_hours(10 * 24);
/// With less than this share of its life left, a certificate is renewed whatever anybody says.
const EMERGENCY_SHARE: i32 = 20;
/// A CA that says nothing better is asked this often: at least twice a day.
pub const ASK_EVERY: SignedDuration = SignedDuration::from_hours(10);
/// After an answer that was none.
pub const ASK_AFTER_FAILURE: SignedDuration = SignedDuration::from_hours(1);
const ASK_SOONEST: SignedDuration = SignedDuration::from_mins(1);

/// Why a certificate is to be renewed, the least pressing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The moment that was chosen in the CA's window has come.
    Window,
    /// Its share of life is over.
    Backstop,
    /// It ends soon.
    Emergency,
}

/// Whether a certificate is to be renewed now, and if not, when.
pub fn due(file: &CertificateFile, now: Timestamp) -> Result<Due, Timestamp> {
    let emergency = emergency_at(file);
    if now >= emergency {
        return Ok(Due::Emergency);
    }
    // What a person added, a person renews.
    if file.source == Source::Added {
        return Err(emergency);
    }
    let backstop = backstop_at(file);
    if now >= backstop {
        return Ok(Due::Backstop);
    }
    match file.renewal {
        Some(window) if now >= window.chosen => Ok(Due::Window),
        Some(window) => Err(window.chosen.min(backstop)),
        None => Err(backstop),
    }
}

/// A third of the life is left, or half of a short one.
fn backstop_at(file: &CertificateFile) -> Timestamp {
    let life = life(file);
    let left = if life < SHORT_LIFE { life / 2 } else { life / 3 };
    file.not_after - left
}

fn emergency_at(file: &CertificateFile) -> Timestamp {
    file.not_after - life(file) / EMERGENCY_SHARE
}

fn life(file: &CertificateFile) -> SignedDuration {
    file.not_before.duration_until(file.not_after).max(SignedDuration::ZERO)
}

/// What the CA said, with one moment chosen in it by `chance` (0 to 1); the moment stays while the window does.
pub fn window(
    before: Option<RenewalWindow>,
    (start, end): (Timestamp, Timestamp),
    retry_after: SignedDuration,
    now: Timestamp,
    chance: f64,
) -> RenewalWindow {
    let chosen = match before {
        Some(before) if (before.start, before.end) == (start, end) => before.chosen,
        _ => start + start.duration_until(end).max(SignedDuration::ZERO).mul_f64(chance.clamp(0.0, 1.0)),
    };
    RenewalWindow { start, end, chosen, ask_at: now + retry_after.clamp(ASK_SOONEST, ASK_EVERY) }
}

/// Whether the CA is to be asked about this certificate now.
pub fn asks_now(file: &CertificateFile, now: Timestamp) -> bool {
    file.source == Source::Ordered && file.renewal.is_none_or(|window| now >= window.ask_at)
}

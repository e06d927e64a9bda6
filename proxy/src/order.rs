//! The order of documents: which change is next, which is the same again, and which came too late.

#[cfg(test)]
mod tests;

use karman_contract::document::Stamp;

/// How a change stands to what the proxy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It comes after that, and is applied.
    Next,
    /// The proxy has exactly this already.
    Current,
    Stale,
    BaseMismatch,
}

/// Judges a whole document. `equal` says whether its content is what the proxy has.
pub fn judge_whole(current: Option<Stamp>, attempted: Stamp, equal: impl FnOnce() -> bool) -> Standing {
    match current {
        None => Standing::Next,
        Some(current) if attempted > current => Standing::Next,
        Some(current) if attempted == current && equal() => Standing::Current,
        Some(_) => Standing::Stale,
    }
}

/// Judges a delta. `equal` says whether the proxy has all that it puts and nothing that it removes.
///
/// A higher epoch comes as a whole document only: its delta has no base here.
pub fn judge_delta(current: Option<Stamp>, attempted: Stamp, base: u64, equal: impl FnOnce() -> bool) -> Standing {
    let Some(current) = current else { return Standing::BaseMismatch };
    if attempted.epoch > current.epoch {
        return Standing::BaseMismatch;
    }
    if attempted == current {
        return if equal() { Standing::Current } else { Standing::Stale };
    }
    if attempted < current {
        return Standing::Stale;
    }
    if base == current.generation { Standing::Next } else { Standing::BaseMismatch }
}

/// Below this many items a change may remove what it likes.
const GUARDED_FROM: usize = 10;

/// Whether a change takes away so much that somebody should say so twice.
pub fn is_mass_removal(removes: usize, of: usize) -> bool {
    of >= GUARDED_FROM && removes * 2 > of
}

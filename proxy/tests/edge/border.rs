//! Bad input over raw sockets, row by row of `proxy/BAD-INPUT.md`.

#[path = "border/rig.rs"]
mod rig;

/// What apps answer.
#[path = "border/answers.rs"]
mod answers;
/// Where a request ends.
#[path = "border/framing.rs"]
mod framing;
/// Request lines and fields.
#[path = "border/heads.rs"]
mod heads;
/// Clients that take too long, or leave.
#[path = "border/slow.rs"]
mod slow;

pub use rig::{Border, counts, difference, refusals, refused, refused_as, served};

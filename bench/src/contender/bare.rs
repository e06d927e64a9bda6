//! The two that are libraries, with a small program of the lab around each: they take their job as arguments.

use super::launch::{Launch, Place};
use super::{Job, Kind};

/// Neither is sticky: that is not in the library.
pub(super) fn launch(_: Kind, job: &Job, place: &Place) -> Launch {
    let instances: Vec<_> = job.instances.iter().map(ToString::to_string).collect();
    let listen = place.address.to_string();
    let arguments = ["--listen", &listen, "--instances", &instances.join(",")];
    Launch { arguments: arguments.map(Into::into).into(), files: Vec::new() }
}

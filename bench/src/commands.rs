//! What operators type.

pub(crate) mod compare;
pub(crate) mod headline;
pub(crate) mod herd;
pub(crate) mod run;
pub(crate) mod sockets;
pub(crate) mod spike;
mod target;

use std::io;
use std::process::ExitCode;

use crate::scenarios;

/// Names every scenario.
pub(crate) fn list() -> io::Result<ExitCode> {
    for scenario in scenarios::ALL {
        println!("{:<12} {}", scenario.name, scenario.question);
    }
    Ok(ExitCode::SUCCESS)
}

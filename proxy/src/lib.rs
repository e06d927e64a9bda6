//! The data plane, as a library: the binary reads its arguments and calls in here.

pub mod access_log;
pub mod saved_state;
pub mod settings;

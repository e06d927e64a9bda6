//! The kernel's table of a process's open files. It doubles when it is full, and a process with several threads stands still
//! meanwhile: until no other thread can be looking at the old table (an RCU grace period, 10 to 20 ms). A crowd that comes to
//! an edge that was idle would wait for that again and again, and so would everybody else of the thread that accepts it.

use std::io;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};

/// A client's connection, and one to its app.
const PER_CONNECTION: u64 = 2;
/// Of the table, whatever is allowed: 8 MiB of the kernel's memory.
const DESCRIPTORS_MAX: u64 = 1 << 20;

/// Makes room for so many connections of clients, as far as the limit of open files allows. It is quick while the process has
/// one thread.
pub fn reserve(connections: usize) -> io::Result<()> {
    let wanted = (connections as u64).saturating_mul(PER_CONNECTION).min(DESCRIPTORS_MAX);
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS_MAX);
    // The table grows with the highest number that was ever in use, and never shrinks.
    let last = i32::try_from(wanted.min(allowed).saturating_sub(1)).unwrap_or(i32::MAX);
    fcntl_dupfd_cloexec(io::stderr(), last).map(drop)?;
    Ok(())
}

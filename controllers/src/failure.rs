//! Why a command did not do what it was asked: the words for a person, the exit code for a script.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;

/// Exit codes of `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command was not understood.
    Usage = 64,
    /// The store or an answer holds something that cannot be used.
    Data = 65,
    /// Nothing answers where something should.
    Unavailable = 69,
    /// The machine refused: a file, a folder, a process.
    System = 71,
    /// Somebody else is at it already, or has to decide first.
    NotNow = 75,
}

#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Exit::Data, message)
    }

    pub fn system(what: impl Display, error: &io::Error) -> Self {
        Self::new(Exit::System, format!("{what}: {error}"))
    }

    /// Nothing answers at a socket, and what to do about it.
    pub fn nothing_answers(socket: &Path, why: impl Display) -> Self {
        let message = format!(
            "nothing answers at {} ({why})\n\
             start the proxy: 'karman up' on one machine, or 'karman-proxy --settings edge.yaml'\n\
             or name another socket with --socket PATH or KARMAN_SOCKET",
            socket.display()
        );
        Self::new(Exit::Unavailable, message)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

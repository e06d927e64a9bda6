//! The lock that keeps a second publisher from the same directory, even after a kill -9 of the first.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// Who only asks for the holder has the lock for a moment, and is not one.
const TRIES: usize = 5;
const AGAIN: Duration = Duration::from_millis(20);

/// Held until it is dropped or its process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What came of asking for the lock.
#[derive(Debug)]
pub enum Locked {
    Ours(Lock),
    /// Another process has it; its id, if it said.
    Theirs(Option<u32>),
}

impl Lock {
    pub fn take(path: &Path) -> io::Result<Locked> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        for _ in 0..TRIES {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    file.set_len(0)?;
                    writeln!(file, "{}", std::process::id())?;
                    return Ok(Locked::Ours(Self { _file: file }));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => sleep(AGAIN),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Locked::Theirs(read_pid(&mut file)))
    }

    /// The process that holds the lock, if one does.
    pub fn holder(path: &Path) -> Option<u32> {
        let mut file = File::open(path).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => read_pid(&mut file),
            _ => None,
        }
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

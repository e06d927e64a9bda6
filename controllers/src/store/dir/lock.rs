//! A lock file that is free again the moment its holder is gone, even after a kill -9.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::store::lease::holder;

/// Who only asks for the holder has the lock for a moment, and is not one.
const TRIES: usize = 5;
const AGAIN: Duration = Duration::from_millis(20);

/// Held until it is dropped or its process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// What came of asking for the lock.
#[derive(Debug)]
pub enum Locked {
    Ours(Lock),
    /// Another process has it, and this is what it said of itself.
    Theirs(Option<String>),
}

impl Lock {
    pub fn take(path: &Path) -> io::Result<Locked> {
        Self::take_within(path, TRIES)
    }

    /// Tries as often as `tries` says, every [`AGAIN`].
    pub fn take_within(path: &Path, tries: usize) -> io::Result<Locked> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        for _ in 0..tries {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    say(&file, &format!("{}\n", holder()))?;
                    return Ok(Locked::Ours(Self { file, path: path.to_owned() }));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => sleep(AGAIN),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Locked::Theirs(read_holder(&mut file)))
    }

    /// The process that holds the lock, if one does, as it said of itself.
    pub fn holder(path: &Path) -> Option<String> {
        let mut file = File::open(path).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => read_holder(&mut file).or_else(|| Some("another process".to_owned())),
            _ => None,
        }
    }

    /// Whether the file that is locked is still the one that others would lock.
    pub fn is_in_place(&self) -> bool {
        let same = |ours: &std::fs::Metadata| {
            std::fs::metadata(&self.path).is_ok_and(|theirs| (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()))
        };
        self.file.metadata().as_ref().is_ok_and(same)
    }
}

/// Over what was said before, mostly by the same process: an empty file would give its block back, and ask for another.
fn say(file: &File, text: &str) -> io::Result<()> {
    file.write_all_at(text.as_bytes(), 0)?;
    if file.metadata()?.len() == text.len() as u64 { Ok(()) } else { file.set_len(text.len() as u64) }
}

fn read_holder(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.take(200).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

//! The log of changes: JSON lines in one file, appended and followed by every process of the app.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::list::Change;

/// The longest line worth reading: a todo of 500 characters, each of them escaped.
const LINE_LIMIT: usize = 4 * 1024;

/// The file is never rewritten, so it must stop growing somewhere.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;

pub(super) struct Log {
    file: File,
    read_to: u64,
    /// The start of a line whose end is not there yet.
    line: Vec<u8>,
}

/// Some of what was written since the last look.
pub(super) struct News {
    /// The file became shorter: somebody emptied it, and `changes` begin at its beginning.
    pub(super) restarted: bool,
    pub(super) changes: Vec<Change>,
}

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = file.map_err(|error| io::Error::new(error.kind(), format!("cannot open {}: {error}", path.display())))?;
        Ok(Self { file, read_to: 0, line: Vec::new() })
    }

    /// Appends in one write, which the kernel does not interleave with those of other processes.
    ///
    /// The line break in front ends what a killed process may have left unfinished: its change is
    /// lost, ours is not.
    pub(super) fn append(&mut self, change: &Change) -> io::Result<()> {
        if self.file.metadata()?.len() >= FILE_LIMIT {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the log has reached {FILE_LIMIT} bytes")));
        }
        let line = format!("\n{}\n", serde_json::to_string(change)?);
        match self.file.write(line.as_bytes())? {
            written if written == line.len() => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::StorageFull, "the disk took only a part of the change")),
        }
    }

    /// The next whole lines, until there are no more; what is not a change is skipped.
    pub(super) fn read_on(&mut self) -> io::Result<Option<News>> {
        let restarted = self.file.metadata()?.len() < self.read_to;
        if restarted {
            self.read_to = 0;
            self.line.clear();
        }
        let mut chunk = [0; 16 * 1024];
        let read = self.file.read_at(&mut chunk, self.read_to)?;
        self.read_to += read as u64;
        let lines = chunk[..read].split_inclusive(|&byte| byte == b'\n');
        let changes: Vec<Change> = lines.filter_map(|piece| self.take(piece)).collect();
        Ok((restarted || read > 0).then_some(News { restarted, changes }))
    }

    /// Adds a piece to the line. A line beyond the limit is cut, and then is no change any more.
    fn take(&mut self, piece: &[u8]) -> Option<Change> {
        let room = LINE_LIMIT.saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        if !piece.ends_with(b"\n") {
            return None;
        }
        let change = serde_json::from_slice(&self.line).ok();
        self.line.clear();
        change
    }
}

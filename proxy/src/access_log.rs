//! The access log: one JSON line a request, written off the request path, dropped rather than waited for.
//!
//! The caller serialises. The alternative is to send the parts to the writer thread, and those are a
//! dozen borrowed texts: owning them costs more allocations than the one buffer that the line needs,
//! and the queue could not be bounded in bytes. What is left for the caller is a `try_send`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

mod line;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use line::{AccessLine, LINE_BYTES_MAX, Milliseconds};

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    /// Appended to; made with mode 0640 if it is not there.
    File(PathBuf),
    Off,
}

/// The handle that every request writes through. `Off` costs one comparison.
#[derive(Debug)]
pub struct AccessLog(Option<Writing>);

#[derive(Debug)]
struct Writing {
    queue: SyncSender<Entry>,
    shared: Arc<Shared>,
    /// Disconnects when the writer has ended.
    ended: Mutex<Receiver<()>>,
}

enum Entry {
    Line(Vec<u8>),
    /// Nothing to write: look at the flags.
    Wake,
}

/// What the handle and its writer tell each other beside the queue, which may be full.
#[derive(Debug, Default)]
struct Shared {
    reopen: AtomicBool,
    close: AtomicBool,
    dropped: AtomicU64,
}

impl AccessLog {
    /// Opens the destination and starts its writer, with room for `lines` that wait for it.
    pub fn open(destination: &Destination, lines: usize) -> io::Result<Self> {
        let (sink, path): (Box<dyn io::Write + Send>, _) = match destination {
            Destination::Off => return Ok(Self(None)),
            // Its own descriptor: a stalled reader must not hold the lock of the standard library's stdout.
            Destination::Stdout => (Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)), None),
            Destination::File(path) => (Box::new(open_file(path)?), Some(path.clone())),
        };
        let (queue, entries) = sync_channel(lines);
        let (end, ended) = sync_channel(0);
        let shared = Arc::new(Shared::default());
        let writer = writer::Writer::new(sink, path, Arc::clone(&shared));
        thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            let _ended_when_dropped = end;
            writer.run(entries);
        })?;
        Ok(Self(Some(Writing { queue, shared, ended: Mutex::new(ended) })))
    }

    /// Whether it is worth gathering what a line needs.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a line over. It never waits: with a full queue the line is dropped and counted.
    pub fn write(&self, line: &AccessLine<'_>) {
        let Some(writing) = &self.0 else { return };
        let sent = line.to_json().is_some_and(|json| writing.queue.try_send(Entry::Line(json)).is_ok());
        if !sent {
            writing.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were lost: the queue was full, or the destination did not take them.
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |writing| writing.shared.dropped.load(Ordering::Relaxed))
    }

    /// Opens the file anew, after somebody moved it away. Lines still in the queue go into the new one.
    pub fn reopen(&self) {
        if let Some(writing) = &self.0 {
            writing.shared.reopen.store(true, Ordering::Release);
            writing.wake();
        }
    }

    /// Writes what is queued and ends the writer; says whether that was done within the time.
    ///
    /// Lines that come later are dropped and counted.
    pub fn close(&self, within: Duration) -> bool {
        let Some(writing) = &self.0 else { return true };
        writing.shared.close.store(true, Ordering::Release);
        writing.wake();
        let ended = writing.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.recv_timeout(within) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Writing {
    /// A writer whose queue is full needs no waking.
    fn wake(&self) {
        let _ = self.queue.try_send(Entry::Wake);
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

//! The thread that writes the lines: gathered while there are any, flushed when the queue runs empty.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use super::{Entry, Shared, open_file};

/// A few dozen ordinary lines in one system call. It must hold more than the longest line: then a
/// line is taken whole or not at all, and what a full disk cut off is continued when there is room.
const BUFFER_BYTES: usize = 64 * 1024;

/// After a flush the writer rests: lines that come meanwhile are written together, and nobody who
/// sends one pays for waking a thread.
const REST: Duration = Duration::from_millis(10);

type Sink = Box<dyn Write + Send>;

pub(super) struct Writer {
    out: BufWriter<Sink>,
    /// Of the file to open anew when asked to; stdout has none.
    path: Option<PathBuf>,
    shared: Arc<Shared>,
    failing: bool,
}

impl Writer {
    pub(super) fn new(sink: Sink, path: Option<PathBuf>, shared: Arc<Shared>) -> Self {
        Self { out: BufWriter::with_capacity(BUFFER_BYTES, sink), path, shared, failing: false }
    }

    /// Runs until the log is closed, or until nobody can send to it any more. The queue ends with it.
    pub(super) fn run(mut self, entries: Receiver<Entry>) {
        while let Ok(first) = entries.recv() {
            self.take(first);
            let open = self.take_all_that_wait(&entries);
            self.flush();
            if !open || self.shared.close.load(Ordering::Acquire) {
                break;
            }
            thread::sleep(REST);
        }
        // What came between the last look and the end of the queue.
        self.take_all_that_wait(&entries);
        self.flush();
        self.replace_sink(Box::new(io::sink()));
    }

    /// Empties the queue; false if nobody can send to it any more.
    fn take_all_that_wait(&mut self, entries: &Receiver<Entry>) -> bool {
        loop {
            match entries.try_recv() {
                Ok(entry) => self.take(entry),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn take(&mut self, entry: Entry) {
        if self.shared.reopen.swap(false, Ordering::AcqRel) {
            self.reopen();
        }
        if let Entry::Line(line) = entry {
            let taken = self.out.write_all(&line);
            if taken.is_err() {
                self.dropped(1);
            }
            self.note(taken);
        }
    }

    fn flush(&mut self) {
        let flushed = self.out.flush();
        self.note(flushed);
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open_file(path) {
            Ok(file) => {
                self.flush();
                self.replace_sink(Box::new(file));
            }
            Err(e) => {
                tracing::warn!(file = %path.display(), error = %e, "the access log was not reopened, it goes on in the old file");
            }
        }
    }

    /// Lines that the old sink never took are lost, and counted.
    fn replace_sink(&mut self, sink: Sink) {
        let old = std::mem::replace(&mut self.out, BufWriter::with_capacity(BUFFER_BYTES, sink));
        let lost = old.buffer().iter().filter(|byte| **byte == b'\n').count();
        self.dropped(lost as u64);
        // Taken apart, because dropping it would try the failing sink once more.
        let _ = old.into_parts();
    }

    fn dropped(&self, lines: u64) {
        self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// Says once that the destination fails, and once that it works again.
    fn note(&mut self, result: io::Result<()>) {
        match result {
            Err(e) if !self.failing => {
                self.failing = true;
                tracing::warn!(error = %e, "the access log cannot be written, lines are dropped");
            }
            Ok(()) if self.failing && self.out.buffer().is_empty() => {
                self.failing = false;
                tracing::info!("the access log is written again");
            }
            _ => {}
        }
    }
}

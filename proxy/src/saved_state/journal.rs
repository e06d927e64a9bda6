//! The deltas after a snapshot, appended one by one, each durable before the next.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use karman_contract::document::{DocumentName, Stamp};

use super::files::{Found, journal_path};
use super::sealed::{self, HEADER_BYTES, Label, Seal};
use super::sync_dir;

/// A journal that is appended to. Its file is made with the first record.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    bytes: u64,
    file: Option<File>,
}

impl Journal {
    pub(super) fn new(snapshot: &Path, bytes: u64) -> Self {
        Self { path: journal_path(snapshot), bytes, file: None }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// After an error the file may still end in half a record: it must not be appended to again.
    pub(super) fn append(&mut self, kind: DocumentName, base: Stamp, stamp: Stamp, json: &[u8]) -> io::Result<()> {
        if stamp.epoch != base.epoch || stamp.generation <= base.generation {
            return Err(io::Error::other(format!("a delta to {stamp} cannot stand on {base}")));
        }
        let seal = Seal::of(Label { kind, stamp, base: Some(base.generation) }, json);
        let record = [&seal.to_header()?, json, b"\n"].concat();

        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?,
        };
        let file = self.file.insert(file);
        let found = file.metadata()?.len();
        if found != self.bytes {
            return Err(io::Error::other(format!("{} has {found} bytes, not {}", self.path.display(), self.bytes)));
        }
        if let Err(error) = file.write_all(&record).and_then(|()| file.sync_data()) {
            // Half a record helps nobody, and on a full disk it takes the room that the next snapshot needs.
            let _ = file.set_len(self.bytes);
            return Err(error);
        }
        if let (0, Some(dir)) = (self.bytes, self.path.parent()) {
            sync_dir(dir)?;
        }
        self.bytes += record.len() as u64;
        Ok(())
    }
}

/// What the journals add to a snapshot.
pub(super) struct Replay {
    pub(super) deltas: Vec<Vec<u8>>,
    pub(super) reached: Stamp,
    /// The length of the snapshot's own journal.
    pub(super) bytes: u64,
    /// How many journals were read. The next snapshot's goes on where this one's ends: that helps when
    /// the next snapshot is the one that is torn.
    pub(super) journals: usize,
    /// What ended the replay early.
    pub(super) flaw: Option<(PathBuf, String)>,
}

/// Reads every record that follows from the snapshot, up to the first that is not whole.
pub(super) fn replay(journals: &[Found], kind: DocumentName, snapshot: Stamp) -> Replay {
    let mut replay = Replay { deltas: Vec::new(), reached: snapshot, bytes: 0, journals: 0, flaw: None };
    for journal in journals {
        if journal.stamp != replay.reached || replay.flaw.is_some() {
            continue;
        }
        let result = match journal.newer() {
            Some(why) => Err(why),
            None => fs::read(&journal.path).map_err(|e| e.to_string()).and_then(|bytes| {
                if replay.journals == 0 {
                    replay.bytes = bytes.len() as u64;
                }
                replay.journals += 1;
                replay.records(kind, &bytes)
            }),
        };
        replay.flaw = result.err().map(|why| (journal.path.clone(), why));
    }
    replay
}

impl Replay {
    fn records(&mut self, kind: DocumentName, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let (stamp, delta, after) =
                record(rest, kind, self.reached).map_err(|why| format!("the record at byte {at} is not whole: {why}"))?;
            self.deltas.push(delta.to_owned());
            self.reached = stamp;
            rest = after;
        }
        Ok(())
    }
}

/// Splits the first record off: where it leads, its delta, and what comes after.
fn record(bytes: &[u8], kind: DocumentName, base: Stamp) -> Result<(Stamp, &[u8], &[u8]), String> {
    let cut_off = || "it is cut off".to_owned();
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(cut_off)?;
    let opened = sealed::open(header)?;
    let length = usize::try_from(opened.bytes()).map_err(|e| e.to_string())?;
    let (delta, rest) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    opened.check(delta)?;
    let Some((b'\n', after)) = rest.split_first() else { return Err(cut_off()) };
    let label = opened.label();
    let stamp = label.stamp;
    if label.kind != kind || label.base != Some(base.generation) || stamp.epoch != base.epoch || stamp <= base {
        return Err(format!("found {} {stamp}, wanted {kind} after {base}", label.kind));
    }
    Ok((stamp, delta, after))
}

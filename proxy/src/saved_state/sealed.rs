//! The header line that says what follows it and how to tell whether that is whole.
//!
//! `{"format":1,"kind":"apps","epoch":0,"generation":43,"base":42,"bytes":512,"crc32":"1a2b3c4d"}`

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use karman_contract::document::{DocumentName, Stamp};
use serde::{Deserialize, Serialize};

use super::FORMAT;

/// The line is filled up with spaces to this length, newline included: a snapshot's header is
/// written last, when its length and checksum are known, into the room that was left for it.
pub(super) const HEADER_BYTES: usize = 192;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    kind: DocumentName,
    epoch: u64,
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<u64>,
    bytes: u64,
    crc32: String,
}

/// What is sealed: a whole document, or a delta on top of the generation `base`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) kind: DocumentName,
    pub(super) stamp: Stamp,
    pub(super) base: Option<u64>,
}

/// Length and checksum of a payload under its label.
pub(super) struct Seal {
    label: Label,
    bytes: u64,
    crc32: crc32fast::Hasher,
}

impl Seal {
    /// The checksum covers the label too: a flipped bit must not turn one generation into another.
    pub(super) fn new(label: Label) -> Self {
        let Label { kind, stamp: Stamp { epoch, generation }, base } = label;
        let base = base.map_or_else(String::new, |base| base.to_string());
        let mut crc32 = crc32fast::Hasher::new();
        crc32.update(format!("{kind} {epoch} {generation} {base}\n").as_bytes());
        Self { label, bytes: 0, crc32 }
    }

    pub(super) fn of(label: Label, payload: &[u8]) -> Self {
        let mut seal = Self::new(label);
        seal.update(payload);
        seal
    }

    pub(super) fn update(&mut self, payload: &[u8]) {
        self.bytes += payload.len() as u64;
        self.crc32.update(payload);
    }

    pub(super) fn to_header(&self) -> io::Result<Vec<u8>> {
        let Label { kind, stamp, base } = self.label;
        let Stamp { epoch, generation } = stamp;
        let header = Header { format: FORMAT, kind, epoch, generation, base, bytes: self.bytes, crc32: self.checksum() };
        let mut line = serde_json::to_vec(&header)?;
        line.resize(HEADER_BYTES - 1, b' ');
        line.push(b'\n');
        Ok(line)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn checksum(&self) -> String {
        format!("{:08x}", self.crc32.clone().finalize())
    }
}

/// A header that was read and found to be of this format; its payload is not looked at yet.
pub(super) struct Opened(Header);

/// Reads a header, or says what is wrong with it.
pub(super) fn open(line: &[u8]) -> Result<Opened, String> {
    match format_of(line) {
        Some(format) if format > FORMAT => return Err(newer(format)),
        Some(FORMAT) => {}
        _ => return Err("its header is broken".to_owned()),
    }
    let header = line.strip_suffix(b"\n").and_then(|json| serde_json::from_slice(json).ok());
    header.map(Opened).ok_or_else(|| "its header is broken".to_owned())
}

pub(super) fn newer(format: u32) -> String {
    format!("found format {format}, this release reads format {FORMAT}")
}

impl Opened {
    pub(super) fn label(&self) -> Label {
        let Header { kind, epoch, generation, base, .. } = self.0;
        Label { kind, stamp: Stamp { epoch, generation }, base }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Whether the payload is the one that was sealed.
    pub(super) fn check(&self, payload: &[u8]) -> Result<(), String> {
        let found = Seal::of(self.label(), payload);
        if found.bytes != self.0.bytes {
            return Err(format!("found {} bytes, its header says {}", found.bytes, self.0.bytes));
        }
        if found.checksum() != self.0.crc32 {
            return Err(format!("found the checksum {}, its header says {}", found.checksum(), self.0.crc32));
        }
        Ok(())
    }
}

/// The format that a file says it has; this much every release can tell of every other's.
pub(super) fn format_of_file(path: &Path) -> Option<u32> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(HEADER_BYTES as u64).read_to_end(&mut start).ok()?;
    format_of(&start)
}

fn format_of(start: &[u8]) -> Option<u32> {
    let rest = start.strip_prefix(br#"{"format":"#)?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
}

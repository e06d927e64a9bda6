//! The history of an entry in a directory: a line of JSON for each change, in a file below `.karman/history/`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::edits::Edit;
use super::write::{in_its_folder, write_soon};
use super::{Directory, Lock};
use crate::store::history::CHANGES_MAX;
use crate::store::{Author, Change, History, Key, StoreError};

#[cfg(test)]
mod tests;

/// So much of a file is looked through for its last change at first, and more where that is longer.
const END_BYTES: u64 = 4 * 1024;

impl Directory {
    /// The last changes of an entry.
    pub(super) fn changes(&self, key: &Key) -> Result<History, StoreError> {
        let path = self.history_of(key);
        // First these: they may be taken down meanwhile, and then stand in both.
        let text = self.edits_of(key).and_then(|edits| read_with(&path, &edits));
        let text = text.map_err(|error| StoreError::io(path.display(), &error))?;
        Ok(History::read(kept(&text).map(|(number, line)| (format!("{}:{number}", path.display()), line))))
    }

    /// Takes a change down, unless it is the last one already. The lock of the store's writers is held.
    pub(super) fn record(&self, _: &Lock, key: &Key, author: &Author, text: Option<&str>) -> io::Result<()> {
        if !key.kind.has_history() {
            return Ok(());
        }
        let mut end = End::read(self.history_of(key))?;
        end.take_in(&self.edits_of(key)?)?;
        end.add(Timestamp::now(), author, text)?;
        end.write()
    }

    /// Takes down what somebody edited.
    pub(super) fn take_down(&self, key: &Key, edits: &[Edit]) -> io::Result<()> {
        let _lock = self.writers_lock()?;
        let mut end = End::read(self.history_of(key))?;
        end.take_in(edits)?;
        end.write()
    }

    /// Whether this is the last change that was taken down.
    pub(super) fn is_last(&self, key: &Key, text: Option<&str>) -> bool {
        let last = End::read(self.history_of(key)).ok().and_then(|end| end.last);
        last.is_some_and(|last| last.text.as_deref() == text)
    }

    pub(super) fn adopt_changes(&self, key: &Key, changes: &[Change]) -> io::Result<()> {
        let _lock = self.writers_lock()?;
        let mut lines = Vec::new();
        changes.iter().try_for_each(|change| push(&mut lines, change))?;
        write_soon(&self.history_of(key), &lines)
    }

    pub(super) fn history_of(&self, key: &Key) -> PathBuf {
        self.own_path("history").join(format!("{key}.jsonl"))
    }
}

/// The end of an entry's history as it stands on disk, and what is to be added to it.
struct End {
    path: PathBuf,
    /// So long are the whole lines of the file: a power cut may have left a part of one behind them.
    whole: u64,
    /// Of the last change, whether it can be read or not; 0 before the first.
    number: u64,
    /// The last change, if it can be read.
    last: Option<Change>,
    new: Vec<u8>,
}

impl End {
    fn read(path: PathBuf) -> io::Result<Self> {
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, whole: 0, number: 0, last: None, new: Vec::new() });
            }
            file => file?,
        };
        let length = file.metadata()?.len();
        let mut wanted = END_BYTES;
        loop {
            let begin = length.saturating_sub(wanted);
            file.seek(SeekFrom::Start(begin))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            if let Some((whole, number, last)) = last_change(&text, begin == 0) {
                return Ok(Self { path, whole: begin + whole as u64, number, last, new: Vec::new() });
            }
            wanted *= 8;
        }
    }

    /// Adds the edits that are newer than the last change. An entry that was never changed since it was first seen has no
    /// history: its first version comes together with the second.
    fn take_in(&mut self, edits: &[Edit]) -> io::Result<()> {
        for Edit { at, by, before, text, .. } in edits {
            if self.last.as_ref().is_some_and(|last| last.at >= *at) {
                continue;
            }
            if self.number == 0 {
                let unknown = Author { by: "unknown".to_owned(), why: Some("as it was first seen".to_owned()) };
                self.add(*at, &unknown, before.as_deref())?;
            }
            let author = Author { by: by.clone(), why: Some("edited by hand".to_owned()) };
            self.add(*at, &author, text.as_deref())?;
        }
        Ok(())
    }

    /// Adds a change, unless it is the last one already.
    fn add(&mut self, at: Timestamp, author: &Author, text: Option<&str>) -> io::Result<()> {
        let is_same = match &self.last {
            Some(last) => last.text.as_deref() == text,
            None => self.number == 0 && text.is_none(),
        };
        if is_same {
            return Ok(());
        }
        self.number += 1;
        let Author { by, why } = author.clone();
        let change = Change { number: self.number, at, by, why, text: text.map(str::to_owned) };
        push(&mut self.new, &change)?;
        self.last = Some(change);
        Ok(())
    }

    /// Not forced to disk: a power cut takes the last changes from the history, and none from the store.
    fn write(&self) -> io::Result<()> {
        if self.new.is_empty() {
            return Ok(());
        }
        let mut file = in_its_folder(&self.path, || OpenOptions::new().append(true).create(true).open(&self.path))?;
        if file.metadata()?.len() > self.whole {
            file.set_len(self.whole)?;
        }
        file.write_all(&self.new)?;
        // Now and then only, so that most changes add a line and read the last one.
        if self.number.is_multiple_of(CHANGES_MAX as u64) { shorten(&self.path) } else { Ok(()) }
    }
}

/// How long the whole lines of a file's end are, the number of the last change, and that change if it can be read. None
/// if the end tells of no number. A line that cannot be read has a number too.
fn last_change(end: &[u8], is_all: bool) -> Option<(usize, u64, Option<Change>)> {
    let whole = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let mut unreadable = 0;
    let mut lines = lines(end.get(..whole)?);
    if !is_all {
        // It may have begun before.
        lines.next();
    }
    for line in lines.rev() {
        match serde_json::from_slice::<Change>(line) {
            Ok(change) => return Some((whole, change.number + unreadable, Some(change).filter(|_| unreadable == 0))),
            Err(_) => unreadable += 1,
        }
    }
    is_all.then_some((whole, unreadable, None))
}

/// The last of the whole lines, each with its number in the file.
fn kept(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let too_many = lines(text).count().saturating_sub(CHANGES_MAX);
    (1..).zip(lines(text)).skip(too_many)
}

/// The whole lines.
fn lines(text: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}

fn push(lines: &mut Vec<u8>, change: &Change) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, change)?;
    lines.push(b'\n');
    Ok(())
}

/// A history's text, as it is once these are taken down.
fn read_with(path: &Path, edits: &[Edit]) -> io::Result<Vec<u8>> {
    let mut text = read(path)?;
    if !edits.is_empty() {
        let mut end = End::read(path.to_owned())?;
        end.take_in(edits)?;
        text.truncate(usize::try_from(end.whole).unwrap_or(usize::MAX));
        text.extend(end.new);
    }
    Ok(text)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        text => text,
    }
}

/// Leaves what is kept in a history's file.
fn shorten(path: &Path) -> io::Result<()> {
    let text = read(path)?;
    let kept: Vec<_> = kept(&text).flat_map(|(_, line)| [line, b"\n"]).collect();
    write_soon(path, &kept.concat())
}

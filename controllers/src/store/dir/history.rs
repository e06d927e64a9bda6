//! The history of an entry in a directory: a line of JSON for each change, in a file below `.karman/history/`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use jiff::Timestamp;

use super::write::{in_its_folder, write_soon};
use super::{Directory, Lock};
use crate::catalog::Accepted;
use crate::store::history::CHANGES_MAX;
use crate::store::{Author, Change, Key, StoreError};

#[cfg(test)]
mod tests;

/// A file of more lines is shortened to the [`CHANGES_MAX`] last ones, so that most changes only add a line.
const LINES_MAX: usize = 2 * CHANGES_MAX;

impl Directory {
    /// The last changes of an entry, oldest first.
    pub(super) fn changes(&self, key: &Key) -> Result<Vec<Change>, StoreError> {
        let path = self.history_of(key);
        let lines = Lines::read(path.clone()).map_err(|error| StoreError::io(path.display(), &error))?;
        let read = |line| serde_json::from_str(line).map_err(|error| StoreError::Refused(format!("{}: {error}", path.display())));
        lines.kept().map(read).collect()
    }

    /// Takes a change down, unless it is the last one already. The lock of the store's writers is held.
    pub(super) fn record(&self, _: &Lock, key: &Key, author: &Author, text: Option<&str>) -> io::Result<()> {
        if !key.kind.has_history() {
            return Ok(());
        }
        let mut lines = Lines::read(self.history_of(key))?;
        lines.add(author, text)?;
        lines.write()
    }

    /// Takes down what people changed with their editors. An entry that was never changed since it
    /// was first seen has no history: its first version is taken down together with the second.
    pub(super) fn record_edits(&self, before: &[(Key, Option<String>)], accepted: &Accepted) -> io::Result<()> {
        let edits: Vec<_> = before.iter().filter(|(key, before)| before.is_some() || self.history_of(key).exists()).collect();
        if edits.is_empty() {
            return Ok(());
        }
        let _lock = self.writers_lock()?;
        for (key, before) in edits {
            let mut lines = Lines::read(self.history_of(key))?;
            if lines.text.is_empty() {
                let unknown = Author { by: "unknown".to_owned(), why: Some("as it was first seen".to_owned()) };
                lines.add(&unknown, before.as_deref())?;
            }
            let now = accepted.get(key).and_then(Option::as_ref);
            let by = now.and_then(|entry| fs::metadata(self.root().join(&entry.file)).ok()).map(|file| user(file.uid()));
            let author = Author { by: by.unwrap_or_else(|| "unknown".to_owned()), why: Some("edited by hand".to_owned()) };
            lines.add(&author, now.map(|entry| entry.text.as_str()))?;
            lines.write()?;
        }
        Ok(())
    }

    pub(super) fn adopt_changes(&self, key: &Key, changes: &[Change]) -> io::Result<()> {
        let _lock = self.writers_lock()?;
        let mut lines = Lines { anew: true, ..Lines::new(self.history_of(key)) };
        changes.iter().try_for_each(|change| lines.push(change))?;
        lines.write()
    }

    fn history_of(&self, key: &Key) -> PathBuf {
        self.own_path("history").join(format!("{key}.jsonl"))
    }
}

/// The history of one entry as it stands on disk, and what is to be added to it.
struct Lines {
    path: PathBuf,
    /// Whole lines, those to be added behind the others.
    text: String,
    /// So much of it is on disk.
    written: usize,
    /// Whether the file has to be written anew: a power cut left a part of a line in it, or it is to be replaced.
    anew: bool,
}

impl Lines {
    fn new(path: PathBuf) -> Self {
        Self { path, text: String::new(), written: 0, anew: false }
    }

    fn read(path: PathBuf) -> io::Result<Self> {
        let mut text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let anew = whole < text.len();
        text.truncate(whole);
        Ok(Self { path, text, written: whole, anew })
    }

    /// The last of the changes.
    fn kept(&self) -> impl Iterator<Item = &str> {
        let too_many = self.text.lines().count().saturating_sub(CHANGES_MAX);
        self.text.lines().skip(too_many)
    }

    /// Adds a change, unless it is the last one already.
    fn add(&mut self, author: &Author, text: Option<&str>) -> io::Result<()> {
        // One that cannot be read is not lost by another that follows it.
        let last = self.text.lines().next_back().and_then(|line| serde_json::from_str::<Change>(line).ok());
        if last.as_ref().map_or_else(|| text.is_none(), |last| last.text.as_deref() == text) {
            return Ok(());
        }
        let Author { by, why } = author.clone();
        let number = last.map_or(0, |last| last.number) + 1;
        self.push(&Change { number, at: Timestamp::now(), by, why, text: text.map(str::to_owned) })
    }

    fn push(&mut self, change: &Change) -> io::Result<()> {
        self.text.push_str(&serde_json::to_string(change)?);
        self.text.push('\n');
        Ok(())
    }

    /// Not forced to disk: a power cut takes the last changes from the history, and none from the store.
    fn write(&self) -> io::Result<()> {
        if self.anew || self.text.lines().count() > LINES_MAX {
            let kept: String = self.kept().flat_map(|line| [line, "\n"]).collect();
            return write_soon(&self.path, kept.as_bytes());
        }
        let new = self.text.get(self.written..).unwrap_or_default();
        if new.is_empty() {
            return Ok(());
        }
        let mut file = in_its_folder(&self.path, || OpenOptions::new().append(true).create(true).open(&self.path))?;
        file.write_all(new.as_bytes())
    }
}

/// The name of a user, as far as this machine knows it.
fn user(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid {uid}"))
}

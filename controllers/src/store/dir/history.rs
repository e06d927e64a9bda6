//! The history of an entry in a directory: one file for each change, in `.karman/history/`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use jiff::Timestamp;

use super::write::{remove, write_json_soon};
use super::{Directory, Lock, read_text};
use crate::catalog::Accepted;
use crate::store::history::CHANGES_MAX;
use crate::store::{Author, Change, Key, StoreError};

impl Directory {
    /// The last changes of an entry, oldest first.
    pub(super) fn changes(&self, key: &Key) -> Result<Vec<Change>, StoreError> {
        let folder = self.history_of(key);
        let unreadable = |error| StoreError::io(folder.display(), &error);
        let mut changes = Vec::new();
        for number in self.change_numbers(key).map_err(unreadable)? {
            let path = self.change_path(key, number);
            let text = read_text(&path).map_err(|error| StoreError::io(path.display(), &error))?;
            let change = serde_json::from_str(&text);
            changes.push(change.map_err(|error| StoreError::Refused(format!("{}: {error}", path.display())))?);
        }
        Ok(changes)
    }

    /// Takes a change down, unless it is the last one already. The lock of the store's writers is held.
    pub(super) fn record(&self, _: &Lock, key: &Key, author: &Author, text: Option<&str>) -> io::Result<()> {
        if !key.kind.has_history() {
            return Ok(());
        }
        let numbers = self.change_numbers(key)?;
        let last = numbers.last().copied().unwrap_or(0);
        let last_text = read_text(&self.change_path(key, last)).ok();
        let last_change = last_text.and_then(|text| serde_json::from_str::<Change>(&text).ok());
        if last_change.map_or_else(|| text.is_none(), |last| last.text.as_deref() == text) {
            return Ok(());
        }
        let Author { by, why } = author.clone();
        let change = Change { number: last + 1, at: Timestamp::now(), by, why, text: text.map(str::to_owned) };
        write_json_soon(&self.change_path(key, change.number), &change)?;
        let too_many = (numbers.len() + 1).saturating_sub(CHANGES_MAX);
        numbers.iter().take(too_many).try_for_each(|number| remove(&self.change_path(key, *number)))
    }

    /// Takes down what people changed with their editors. An entry that was never changed since it
    /// was first seen has no history: its first version is taken down together with the second.
    pub(super) fn record_edits(&self, before: &[(Key, Option<String>)], accepted: &Accepted) -> io::Result<()> {
        let edits: Vec<_> = before.iter().filter(|(key, before)| before.is_some() || self.history_of(key).exists()).collect();
        if edits.is_empty() {
            return Ok(());
        }
        let lock = self.writers_lock()?;
        for (key, before) in edits {
            let now = accepted.get(key).and_then(Option::as_ref);
            if !self.history_of(key).exists() {
                let unknown = Author { by: "unknown".to_owned(), why: Some("as it was first seen".to_owned()) };
                self.record(&lock, key, &unknown, before.as_deref())?;
            }
            let by = now.and_then(|entry| fs::metadata(self.root().join(&entry.file)).ok()).map(|file| user(file.uid()));
            let author = Author { by: by.unwrap_or_else(|| "unknown".to_owned()), why: Some("edited by hand".to_owned()) };
            self.record(&lock, key, &author, now.map(|entry| entry.text.as_str()))?;
        }
        Ok(())
    }

    pub(super) fn adopt_changes(&self, key: &Key, changes: &[Change]) -> io::Result<()> {
        let _lock = self.writers_lock()?;
        changes.iter().try_for_each(|change| write_json_soon(&self.change_path(key, change.number), change))
    }

    fn change_numbers(&self, key: &Key) -> io::Result<Vec<u64>> {
        let files = match fs::read_dir(self.history_of(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        let mut numbers = Vec::new();
        for file in files {
            numbers.extend(file?.file_name().to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn history_of(&self, key: &Key) -> PathBuf {
        self.own_path("history").join(key.to_string())
    }

    fn change_path(&self, key: &Key, number: u64) -> PathBuf {
        self.history_of(key).join(format!("{number}.json"))
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

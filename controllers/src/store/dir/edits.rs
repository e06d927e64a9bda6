//! What people changed with their editors, until it is taken down in the histories: a line of JSON for each change, in one
//! file. Most of what is edited has no history yet, and to make a file for it costs more than all else that is done for a
//! change.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Directory;
use super::write::{in_its_folder, remove};
use crate::catalog::{Accepted, Turn};
use crate::store::{Entry, Key};

#[cfg(test)]
mod tests;

const EDITS: &str = "edits.jsonl";
/// Some thousands of them; then all are taken down. Whoever asks for a history, or adds to one, reads through this.
const EDITS_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// So many times as long as it took to take one down, whoever takes down all of them rests.
const REST: u32 = 9;
/// And so long in all: a publisher that is told to stop waits for it.
const RESTS_MAX: Duration = Duration::from_secs(2);

/// A change that somebody made with an editor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    key: String,
    pub at: Timestamp,
    pub by: String,
    /// What stood there before, which may not be in the history.
    pub before: Option<String>,
    pub text: Option<String>,
}

impl Directory {
    /// Notes what people edited. Not forced to disk: a power cut takes the last edits from the history, and none from the
    /// store.
    pub(super) fn add_edits(&self, accepted: &Accepted) -> io::Result<()> {
        self.add_edits_up_to(accepted, EDITS_BYTES_MAX)
    }

    fn add_edits_up_to(&self, accepted: &Accepted, bytes_max: u64) -> io::Result<()> {
        let users = LazyCell::new(Users::read);
        let noted = LazyCell::new(|| self.edits().unwrap_or_default().into_iter().map(|edit| edit.key).collect::<BTreeSet<_>>());
        let is_noted = |key: &Key| noted.contains(key.to_string().as_str());
        // What is only there now was not edited, unless it was there once; nor was what a verb changed, and took down.
        let is_edit = |key: &Key, turn: &Turn| {
            let was_there = turn.before.is_some() || self.history_of(key).exists() || is_noted(key);
            was_there && (!self.is_last(key, turn.now.as_ref().map(|entry| entry.text.as_str())) || is_noted(key))
        };
        // Begins by ending what a crash may have torn, which is no line then, and costs one edit.
        let mut lines = b"\n".to_vec();
        for (key, turn) in accepted.iter().filter(|(key, turn)| key.kind.has_history() && is_edit(key, turn)) {
            let text = |entry: &Option<Arc<Entry>>| entry.as_ref().map(|entry| entry.text.clone());
            let file = turn.now.as_ref().and_then(|entry| fs::metadata(self.root().join(&entry.file)).ok());
            let by = file.map_or_else(|| "unknown".to_owned(), |file| users.name(file.uid()));
            let edit = Edit { key: key.to_string(), at: Timestamp::now(), by, before: text(&turn.before), text: text(&turn.now) };
            serde_json::to_writer(&mut lines, &edit)?;
            lines.push(b'\n');
        }
        if lines.len() == 1 {
            return Ok(());
        }
        let path = self.edits_path();
        let mut file = in_its_folder(&path, || OpenOptions::new().append(true).create(true).open(&path))?;
        file.write_all(&lines)?;
        if file.metadata()?.len() > bytes_max { self.take_down_edits() } else { Ok(()) }
    }

    /// The edits of an entry that are not in its history, or were not a moment ago.
    pub(super) fn edits_of(&self, key: &Key) -> io::Result<Vec<Edit>> {
        let key = key.to_string();
        Ok(self.edits()?.into_iter().filter(|edit| edit.key == key).collect())
    }

    /// Takes down all edits in the histories. Only the publisher notes any, so none comes meanwhile.
    fn take_down_edits(&self) -> io::Result<()> {
        let mut of_each: BTreeMap<Key, Vec<Edit>> = BTreeMap::new();
        for edit in self.edits()? {
            if let Some(key) = Key::parse(&edit.key) {
                of_each.entry(key).or_default().push(edit);
            }
        }
        let rest_max = RESTS_MAX / u32::try_from(of_each.len().max(1)).unwrap_or(u32::MAX);
        let mut failed = None;
        for (key, edits) in of_each {
            let since = Instant::now();
            // What cannot be taken down costs no other entry its changes.
            if let Err(error) = self.take_down(&key, &edits) {
                failed.get_or_insert(error);
            }
            sleep((since.elapsed() * REST).min(rest_max));
        }
        remove(&self.edits_path())?;
        failed.map_or(Ok(()), Err)
    }

    /// What cannot be read was torn by a crash.
    fn edits(&self) -> io::Result<Vec<Edit>> {
        let text = match fs::read(self.edits_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text?,
        };
        Ok(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    fn edits_path(&self) -> PathBuf {
        self.own_path(EDITS)
    }
}

/// The users that this machine knows, as passwd(5) lists them.
struct Users(String);

impl Users {
    fn read() -> Self {
        Self(fs::read_to_string("/etc/passwd").unwrap_or_default())
    }

    fn name(&self, uid: u32) -> String {
        let name = self.0.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        });
        name.unwrap_or_else(|| format!("uid {uid}"))
    }
}

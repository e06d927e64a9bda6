//! `karman backup` and `restore`: the whole store in one file, for a store of either kind.
//!
//! Keys stay encrypted in it, as they are in the store. What is observed is observed again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use karman_contract::document::Stamp;
use serde::{Deserialize, Serialize};

use super::{Asked, print, print_json};
use crate::failure::{Exit, Failure};
use crate::publish::outcome::counted;
use crate::store::dir::write::write_secretly;
use crate::store::transaction::WRITES_MAX;
use crate::store::{Author, Change, Expect, History, Key, Kind, StoreError, Transaction};

/// A backup that says another form was written by another release.
const FORM: u32 = 1;
/// What is written in one transaction: etcd refuses requests above 1.5 MiB, and keeps each text in the history too.
const TOGETHER_BYTES_MAX: usize = 512 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Backup {
    karman_backup: u32,
    at: Timestamp,
    /// The store that it was made of.
    of: String,
    stamp: Stamp,
    entries: BTreeMap<String, String>,
    history: BTreeMap<String, Vec<Change>>,
}

#[derive(Serialize)]
struct Answer {
    entries: usize,
    file: std::path::PathBuf,
}

/// Everything that somebody decided or that cannot be had again.
fn kinds() -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Accepted | Kind::Edge | Kind::Status)).collect()
}

pub async fn backup(file: &Path, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let reading = store.read(&kinds()).await?;
    let (mut entries, mut history) = (BTreeMap::new(), BTreeMap::new());
    for (key, seen) in reading.entries {
        let History { changes, unreadable } = store.history(&key).await?;
        unreadable.iter().for_each(|mistake| eprintln!("karman: left out: {mistake}"));
        if !changes.is_empty() {
            history.insert(key.to_string(), changes);
        }
        match seen {
            crate::store::Seen::Text(text) => drop(entries.insert(key.to_string(), text.text)),
            crate::store::Seen::Unreadable(mistakes) => return Err(Failure::data(format!("nothing was written\n{mistakes}"))),
            crate::store::Seen::Nothing => {}
        }
    }
    let stamp = store.ledger().await?.stamp();
    let backup = Backup { karman_backup: FORM, at: Timestamp::now(), of: store.place(), stamp, entries, history };
    let text = serde_json::to_vec(&backup).map_err(|error| Failure::data(error.to_string()))?;
    // Encrypted or not, what runs a platform is not for everybody's eyes.
    write_secretly(file, &text).map_err(|error| Failure::system(file.display(), &error))?;
    told(backup.entries.len(), file, "written to", asked)
}

/// Fills an empty store.
pub async fn restore(file: &Path, asked: &Asked) -> Result<(), Failure> {
    let text = fs::read(file).map_err(|error| Failure::system(file.display(), &error))?;
    let backup: Backup = serde_json::from_slice(&text)
        .map_err(|error| Failure::data(format!("{} is no backup of this release: {error}", file.display())))?;
    if backup.karman_backup != FORM {
        let found = backup.karman_backup;
        return Err(Failure::data(format!("{}: found a backup of form {found}, wanted {FORM}", file.display())));
    }
    let mut entries = Vec::new();
    for (name, text) in &backup.entries {
        let key = Key::parse(name).ok_or_else(|| Failure::data(format!("{}: '{name}' is no key", file.display())))?;
        entries.push((key, text));
    }
    let store = asked.store().await?;
    let stands = store.read(&kinds()).await?.entries.len();
    if stands > 0 {
        let entries = if stands == 1 { "1 entry".to_owned() } else { format!("{stands} entries") };
        return Err(Failure::new(Exit::NotNow, format!("{} holds {entries}: only an empty store is filled", asked.place)));
    }
    // History first: what is written after it is a change of its own only where it differs.
    for (name, changes) in &backup.history {
        let key = Key::parse(name).ok_or_else(|| Failure::data(format!("{}: '{name}' is no key", file.display())))?;
        store.adopt(&key, changes).await?;
    }
    let why = format!("restored from the backup of {}", backup.at);
    let mut rest = entries.as_slice();
    while !rest.is_empty() {
        let (together, after) = rest.split_at(written_together(rest));
        rest = after;
        let transaction = Transaction::new(Author::person(Some(why.clone())));
        let put = |transaction: Transaction<'static>, (key, text): &(Key, &String)| {
            transaction.put(key.clone(), Expect::Absent, text.as_str())
        };
        let written = store.commit(&together.iter().fold(transaction, put)).await;
        written.map_err(|error: StoreError| {
            Failure::new(Exit::System, format!("the store is filled in part only; empty it and begin again: {error}"))
        })?;
    }
    // Later than the store that it was made of, so that the edges follow this one.
    store.ledger().await?.begin_epoch_after(backup.stamp.epoch).await?;
    told(entries.len(), file, "restored from", asked)
}

/// How many of the first entries are written in one transaction: one, or as many as are small together.
fn written_together(entries: &[(Key, &String)]) -> usize {
    let mut bytes = 0;
    let small = entries.iter().take(WRITES_MAX / 2).take_while(|(_, text)| {
        bytes += text.len();
        bytes <= TOGETHER_BYTES_MAX
    });
    small.count().max(1)
}

fn told(entries: usize, file: &Path, done: &str, asked: &Asked) -> Result<(), Failure> {
    if asked.json {
        return print_json(&Answer { entries, file: file.to_owned() });
    }
    let entries = counted(entries, "text");
    print(&format!("{entries} {done} {}\n", file.display()))
}

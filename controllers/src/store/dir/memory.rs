//! What a publisher remembers from one run to the next: the revision, and the last good version of
//! every entry, so that a file that is broken when it starts costs nobody a route.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::write::{remove, write_json, write_soon};
use super::{Directory, OWN, read_text};
use crate::catalog::Accepted;
use crate::store::{Entry, Found, Key, Kind, Revision};

impl Directory {
    pub fn own_path(&self, name: &str) -> PathBuf {
        self.root().join(OWN).join(name)
    }

    /// The revision that was written last; none in a store that was made just now.
    pub fn revision(&self) -> io::Result<Option<Revision>> {
        let path = self.own_path("revision.json");
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let revision = serde_json::from_str(&text).map_err(|error| {
            let what = format!("{}: {error}; without this file the store takes a new epoch", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(Some(revision))
    }

    /// On disk before a proxy hears of it: a generation is never given twice.
    pub fn write_revision(&self, revision: Revision) -> io::Result<()> {
        write_json(&self.own_path("revision.json"), &revision)
    }

    /// The last good version of every entry.
    pub fn remembered(&self) -> Vec<(Key, Entry)> {
        let mirror = self.mirror();
        let keys = Kind::ALL.into_iter().flat_map(|kind| mirror.keys(kind));
        keys.filter_map(|key| self.recall(&key).map(|entry| (key, entry))).collect()
    }

    /// The last good version of one entry. What another release remembered and this one cannot read
    /// is no loss: the file itself is still there.
    pub fn recall(&self, key: &Key) -> Option<Entry> {
        let Found::Entry(entry) = self.mirror().look(key) else { return None };
        Arc::into_inner(entry)
    }

    /// The copies of what is in use, laid out like the store itself.
    fn mirror(&self) -> Self {
        Self::new(self.own_path("good"))
    }

    /// Remembers the versions that came into use.
    pub fn remember(&self, accepted: &Accepted) -> io::Result<()> {
        let mirror = self.mirror();
        for (key, entry) in accepted {
            for extension in key.kind.extensions() {
                let name = format!("{key}.{extension}");
                match entry {
                    // Not forced to disk: what a power cut takes from this copy still stands in the store.
                    Some(entry) if entry.file == name => write_soon(&mirror.root().join(name), entry.text.as_bytes())?,
                    _ => remove(&mirror.root().join(name))?,
                }
            }
        }
        Ok(())
    }
}

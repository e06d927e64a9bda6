//! What a publisher of a directory remembers from one run to the next: the last good version of
//! every entry, so that a file that is broken when it starts costs nobody a route.

use std::io;
use std::sync::Arc;

use super::write::{remove, write_soon};
use super::{Directory, read_text};
use crate::catalog::Accepted;
use crate::store::{Entry, Key, Kind, Remembered, Seen, Text};

impl Directory {
    /// The last good version of every entry.
    pub(super) fn good_versions(&self) -> Vec<(Key, Remembered)> {
        let mirror = self.mirror();
        let keys = Kind::PUBLISHED.into_iter().flat_map(|kind| mirror.keys(kind));
        let whole = mirror.see_all(keys).into_iter().filter_map(|(key, seen)| match seen {
            Seen::Text(Text { file, text, .. }) => Some((key, Remembered { file, text })),
            Seen::Nothing | Seen::Unreadable(_) => None,
        });
        whole.collect()
    }

    /// The last good version of one entry. What another release remembered and this one cannot read
    /// is no loss: the file itself is still there.
    pub(super) fn good_version(&self, key: &Key) -> Option<Arc<Entry>> {
        self.mirror().find(key).entry().cloned()
    }

    /// The copies of what is in use, laid out like the store itself.
    fn mirror(&self) -> Self {
        Self::new(self.own_path("good"))
    }

    /// Remembers the versions that came into use, and takes down in the history what people edited.
    pub(super) fn keep(&self, accepted: &Accepted) -> io::Result<()> {
        let mirror = self.mirror();
        let mut edited = Vec::new();
        // Secrets are renewed by machines, and one copy of them is enough.
        for (key, entry) in accepted.iter().filter(|(key, _)| !key.kind.is_secret()) {
            let mut before = None;
            for extension in key.kind.extensions() {
                let name = format!("{key}.{extension}");
                let path = mirror.root().join(&name);
                if key.kind.has_history() && before.is_none() {
                    before = read_text(&path).ok();
                }
                match entry {
                    // Not forced to disk: what a power cut takes from this copy still stands in the store.
                    Some(entry) if entry.file == name => write_soon(&path, entry.text.as_bytes())?,
                    _ => remove(&path)?,
                }
            }
            if key.kind.has_history() {
                edited.push((key.clone(), before));
            }
        }
        self.record_edits(&edited, accepted)
    }
}

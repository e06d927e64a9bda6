//! The store: what stands in it, under which key, and what can be done with it.
//!
//! Controllers meet here and nowhere else. A store is a directory of files ([`dir`]) or an etcd
//! cluster ([`etcd`]); all that is above this module speaks of keys and texts, never of files or RPCs.

use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;
use karman_contract::read::Reason;
use karman_contract::yaml::FileMistakes;

use crate::catalog::Accepted;
use crate::cores::on_all_cores;

pub mod dir;
pub mod entry;
pub mod error;
pub mod etcd;
pub mod follow;
pub mod history;
pub mod kind;
pub mod lease;
pub mod ledger;
pub mod place;
pub mod transaction;

pub use dir::Directory;
pub use entry::Entry;
pub use error::StoreError;
pub use follow::{Follow, News};
pub use history::{Change, History};
pub use kind::{Key, Kind};
pub use lease::{Lease, Leased};
pub use ledger::Ledger;
pub use place::Place;
pub use transaction::{Author, Expect, Transaction, Version, Write};

/// The largest text of one entry, in bytes. A longer one was not written by a person, and etcd takes none.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// What a store can do. One suite of tests holds all implementations to it.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// The store as an operator names it.
    fn place(&self) -> String;

    /// All entries of these kinds, as they stood together at one revision.
    async fn read(&self, kinds: &[Kind]) -> Result<Reading, StoreError>;

    /// What stands under one key now.
    async fn look(&self, key: &Key) -> Result<Seen, StoreError>;

    /// First all entries of these kinds, then every change of them, without a gap. Where changes were
    /// missed (compaction, a lost connection, a store that was restored), all of them come again.
    async fn follow(&self, kinds: &[Kind]) -> Result<Follow, StoreError>;

    /// Writes all of a transaction or nothing of it.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if an entry is not as the transaction expects, [`StoreError::LeaseLost`]
    /// if its lease is not held any more: nothing was written. After [`StoreError::Unreachable`] it
    /// may have been written or not; the same transaction may be tried again.
    async fn commit(&self, transaction: &Transaction<'_>) -> Result<(), StoreError>;

    /// Asks to be alone under a name such as `certificates`. Does not wait.
    async fn lease(&self, name: &str) -> Result<Leased, StoreError>;

    /// Who holds the lease of this name, in words.
    async fn holder(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// The last changes of an entry: at most [`history::CHANGES_MAX`]. One that cannot be read hides no other.
    async fn history(&self, key: &Key) -> Result<History, StoreError>;

    /// Gives an entry the history that it had in another store.
    async fn adopt(&self, key: &Key, changes: &[Change]) -> Result<(), StoreError>;

    /// Opens the count of revisions that proxies see.
    async fn ledger(&self) -> Result<Box<dyn Ledger>, StoreError>;

    /// The last good version of every entry, if this store is where a publisher keeps them. From one
    /// that does not, an app that is broken when the publisher starts stays as the proxy has it.
    fn remembered(&self) -> Vec<(Key, Remembered)> {
        Vec::new()
    }

    /// Remembers the versions that came into use.
    fn remember(&self, _: &Accepted) -> Result<(), StoreError> {
        Ok(())
    }

    /// Notes for the histories what came into use and was not committed, where others than us write to the store.
    fn note_edits(&self, _: &Accepted) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Entries as they stood together.
#[derive(Clone, Debug)]
pub struct Reading {
    pub entries: Vec<(Key, Seen)>,
    /// Grows with every change of the store. A directory has none, and says 0.
    pub revision: u64,
}

/// The last good version of an entry, as it was written.
#[derive(Clone, Debug)]
pub struct Remembered {
    pub file: String,
    pub text: String,
}

/// What stands under one key.
#[derive(Clone, Debug, Default)]
pub enum Seen {
    #[default]
    Nothing,
    Text(Text),
    /// Something is there, and its text cannot be had.
    Unreadable(FileMistakes),
}

#[derive(Clone, Debug)]
pub struct Text {
    /// The entry as messages name it, such as `apps/todos.yaml`.
    pub file: String,
    pub text: String,
    pub version: Version,
    /// What it says, where the store had to know that already.
    pub entry: Option<Arc<Entry>>,
}

/// What a look at one key found, once it was read.
#[derive(Clone, Debug, Default)]
pub enum Found {
    #[default]
    Nothing,
    Entry(Arc<Entry>),
    /// Something stands there that cannot be used: half-written, mistyped or unreadable.
    Broken(FileMistakes),
}

impl Found {
    /// Reads what was seen under a key.
    pub fn read(key: &Key, seen: Seen) -> Self {
        match seen {
            Seen::Nothing => Self::Nothing,
            Seen::Unreadable(mistakes) => Self::Broken(mistakes),
            Seen::Text(Text { entry: Some(entry), .. }) => Self::Entry(entry),
            Seen::Text(text) => match Entry::read(key, &text.file, text.text) {
                Ok(entry) => Self::Entry(Arc::new(entry)),
                Err(mistakes) => Self::Broken(mistakes),
            },
        }
    }

    /// Reads what was seen under many keys.
    pub fn read_all(seen: impl IntoIterator<Item = (Key, Seen)>) -> Vec<(Key, Self)> {
        on_all_cores(seen.into_iter().collect(), |(key, seen)| (key.clone(), Self::read(&key, seen)))
    }

    pub fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Entry(entry) => Some(entry),
            Self::Nothing | Self::Broken(_) => None,
        }
    }
}

impl Seen {
    fn unreadable(file: &str, why: String) -> Self {
        Self::Unreadable(FileMistakes::new(file, "", vec![Reason::new("", why)]))
    }

    pub fn text(&self) -> Option<&Text> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// What a write expects that replaces even what cannot be read.
    pub fn expect_any(&self) -> Expect {
        if let Self::Unreadable(_) = self { Expect::Anything } else { self.unchanged() }
    }

    /// What a write expects that was decided on by this look; nothing readable is nothing to build on.
    pub fn unchanged(&self) -> Expect {
        match self {
            Self::Text(text) => Expect::Version(text.version.clone()),
            Self::Nothing | Self::Unreadable(_) => Expect::Absent,
        }
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

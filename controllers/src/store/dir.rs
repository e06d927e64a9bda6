//! The store as a directory of files that any editor can change.
//!
//! Ours writes JSON and reads YAML; since JSON is YAML, a person may replace the one by the other.
//! What is remembered from one run to the next lies under `.karman/`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::lease::Fence;
use super::{
    Change, Follow, Found, History, Key, Kind, Lease, Leased, Ledger, Reading, Remembered, Seen, Store, StoreError,
    TEXT_BYTES_MAX, Text, Transaction, Version,
};
use crate::catalog::Accepted;
use crate::cores::on_all_cores;

pub mod commit;
pub mod edits;
pub mod follow;
pub mod history;
pub mod ledger;
pub mod lock;
pub mod memory;
pub mod scan;
pub mod watch;
pub mod write;

use lock::{Lock, Locked};

/// Where ours keeps what is not for people: the revision, the locks, the history, the last good versions.
const OWN: &str = ".karman";

/// What somebody does about a folder that was lost.
const LOST: &str = "the folder is gone, and not all that was in it was removed before: bring it back, or make an empty one if all \
                    of it is to go";

#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

#[async_trait]
impl Store for Directory {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    async fn read(&self, kinds: &[Kind]) -> Result<Reading, StoreError> {
        self.finish_commit()?;
        let keys = kinds.iter().flat_map(|kind| self.keys(*kind));
        let mut entries = self.see_all(keys);
        entries.retain(|(_, seen)| !matches!(seen, Seen::Nothing));
        Ok(Reading { entries, revision: 0 })
    }

    async fn look(&self, key: &Key) -> Result<Seen, StoreError> {
        self.finish_commit()?;
        Ok(self.see(key))
    }

    async fn follow(&self, kinds: &[Kind]) -> Result<Follow, StoreError> {
        if let Some(lost) = self.lost_folder(kinds) {
            return Err(StoreError::io(lost.display(), &io::Error::other(LOST)));
        }
        self.make_folders().map_err(|error| StoreError::io(self.place(), &error))?;
        self.finish_commit()?;
        let (store, kinds) = (self.clone(), kinds.to_vec());
        Ok(Follow::fed_at_a_pace_by(|feed| follow::feed(store, kinds, feed)))
    }

    async fn commit(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        self.write_together(transaction)
    }

    async fn lease(&self, name: &str) -> Result<Leased, StoreError> {
        let path = self.lease_path(name);
        match Lock::take(&path).map_err(|error| StoreError::io(path.display(), &error))? {
            Locked::Ours(lock) => {
                // It lasts as long as its holder: there is nobody to tell of a loss.
                let (_, lost) = tokio::sync::watch::channel(false);
                Ok(Leased::Ours(Lease { name: name.to_owned(), fence: Fence::Lock(lock), lost }))
            }
            Locked::Theirs(holder) => Ok(Leased::Theirs(holder)),
        }
    }

    async fn holder(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(Lock::holder(&self.lease_path(name)))
    }

    async fn history(&self, key: &Key) -> Result<History, StoreError> {
        self.changes(key)
    }

    async fn adopt(&self, key: &Key, changes: &[Change]) -> Result<(), StoreError> {
        self.adopt_changes(key, changes).map_err(|error| StoreError::io(self.place(), &error))
    }

    async fn ledger(&self) -> Result<Box<dyn Ledger>, StoreError> {
        Ok(Box::new(ledger::FileLedger::open(self)?))
    }

    fn remembered(&self) -> Vec<(Key, Remembered)> {
        self.good_versions().into_iter().collect()
    }

    fn remember(&self, accepted: &Accepted) -> Result<(), StoreError> {
        self.keep(accepted).map_err(|error| StoreError::io(self.place(), &error))
    }

    fn note_edits(&self, accepted: &Accepted) -> Result<(), StoreError> {
        self.add_edits(accepted).map_err(|error| StoreError::io(self.place(), &error))
    }
}

impl Directory {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a kind, or the directory itself for a kind of which there is one.
    pub fn folder(&self, kind: Kind) -> PathBuf {
        if kind.is_single() { self.root.clone() } else { self.root.join(kind.name()) }
    }

    /// Makes the folders, so that they can be watched and a person sees where things go.
    pub fn make_folders(&self) -> io::Result<()> {
        fs::create_dir_all(self.own_path(""))?;
        Kind::ALL.into_iter().try_for_each(|kind| fs::create_dir_all(self.folder(kind)))
    }

    /// Whether all folders of these kinds and the store's own are there. If not, what is missing was
    /// lost rather than removed.
    pub fn is_whole(&self, kinds: &[Kind]) -> bool {
        kinds.iter().all(|kind| self.folder(*kind).is_dir()) && self.own_path("").is_dir()
    }

    /// A folder that is gone though good versions are remembered of what was in it: that is a loss, and no removal.
    fn lost_folder(&self, kinds: &[Kind]) -> Option<PathBuf> {
        let missing: Vec<_> = kinds.iter().filter(|kind| !kind.is_single() && !self.folder(**kind).is_dir()).collect();
        if missing.is_empty() {
            return None;
        }
        let remembered = self.good_versions();
        let lost = missing.into_iter().find(|kind| remembered.keys().any(|key| key.kind == **kind))?;
        Some(self.folder(*lost))
    }

    /// The key that a file in the store belongs to; none for what editors leave beside their files.
    pub fn key_of(&self, path: &Path) -> Option<Key> {
        let parts: Option<Vec<_>> = path.strip_prefix(&self.root).ok()?.iter().map(|part| part.to_str()).collect();
        let mut parts = parts?;
        let (stem, extension) = parts.pop()?.rsplit_once('.')?;
        if stem.is_empty() || stem.starts_with(['.', '#']) {
            return None;
        }
        let is_file_of = |kind: Kind| kind.extensions().contains(&extension) || (extension == "yml" && kind != Kind::Page);
        let of = |name: &str, is_single| {
            Kind::ALL
                .into_iter()
                .find(|kind| kind.is_single() == is_single && kind.name() == name)
                .filter(|kind| is_file_of(*kind))
        };
        match parts.as_slice() {
            [] => Some(Key::single(of(stem, true)?)),
            [folder] => Some(Key::new(of(folder, false)?, stem)),
            [folder, controller] => {
                of(folder, false).filter(|kind| *kind == Kind::Status).map(|kind| Key::new(kind, &format!("{controller}/{stem}")))
            }
            _ => None,
        }
    }

    /// All keys of a kind that a file stands for.
    pub fn keys(&self, kind: Kind) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        let mut folders = vec![self.folder(kind)];
        while let Some(folder) = folders.pop() {
            for file in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = file.path();
                keys.extend(self.key_of(&path).filter(|key| key.kind == kind));
                if kind == Kind::Status && path.is_dir() {
                    folders.push(path);
                }
            }
        }
        keys
    }

    /// Looks what stands under a key now, and reads it.
    pub fn find(&self, key: &Key) -> Found {
        Found::read(key, self.see(key))
    }

    /// Looks what stands under a key now.
    pub fn see(&self, key: &Key) -> Seen {
        match self.files_of(key).as_slice() {
            [] => self.see_yml(key),
            [name] => self.see_file(name),
            [name, others @ ..] => {
                Seen::unreadable(name, format!("{} stands there too; keep one of the two", others.join(" and ")))
            }
        }
    }

    /// Looks what stands under many keys now.
    fn see_all(&self, keys: impl IntoIterator<Item = Key>) -> Vec<(Key, Seen)> {
        on_all_cores(keys.into_iter().collect(), |key| (key.clone(), self.see(&key)))
    }

    /// The names of the files that stand for a key: one, unless somebody left two.
    fn files_of(&self, key: &Key) -> Vec<String> {
        let names = key.kind.extensions().iter().map(|extension| format!("{key}.{extension}"));
        names.filter(|name| self.root.join(name).exists()).collect()
    }

    fn see_file(&self, name: &str) -> Seen {
        match read_text(&self.root.join(name)) {
            Ok(text) => Seen::Text(Text { version: version(name, &text), file: name.to_owned(), text, entry: None }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::Nothing,
            Err(error) => Seen::unreadable(name, format!("the file cannot be read: {error}")),
        }
    }

    fn see_yml(&self, key: &Key) -> Seen {
        let name = format!("{key}.yml");
        if key.kind != Kind::Page && self.root.join(&name).exists() {
            return Seen::unreadable(&name, format!("only .yaml and .json are read: rename it to {key}.yaml"));
        }
        Seen::Nothing
    }

    fn own_path(&self, name: &str) -> PathBuf {
        self.root.join(OWN).join(name)
    }

    fn lease_path(&self, name: &str) -> PathBuf {
        self.own_path(&format!("{}.lock", name.replace('/', "@")))
    }
}

/// A file is known by its name and text: that it was replaced by an equal one changes nothing.
fn version(name: &str, text: &str) -> Version {
    let hash = Sha256::new().chain_update(name).chain_update([0]).chain_update(text).finalize();
    Version(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The text of a file; anything that is not a file of a bearable size is an error.
fn read_text(path: &Path) -> io::Result<String> {
    // A pipe would keep us waiting for ever.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = String::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(TEXT_BYTES_MAX));
    File::open(path)?.take(TEXT_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

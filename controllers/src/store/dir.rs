//! The store as a directory of files that any editor can change.
//!
//! Ours writes JSON and reads YAML; since JSON is YAML, a person may replace the one by the other.
//! What is remembered from one run to the next lies under `.karman/`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use karman_contract::read::Reason;
use karman_contract::yaml::FileMistakes;

use super::{Entry, Found, Key, Kind};

pub mod lock;
pub mod memory;
pub mod scan;
pub mod watch;
pub mod write;

/// A larger file than this is not something that a person wrote.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where ours keeps what is not for people: the revision, the lock, the last good versions.
const OWN: &str = ".karman";

#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
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
        Kind::ALL.into_iter().try_for_each(|kind| fs::create_dir_all(self.folder(kind)))
    }

    /// Whether all folders and the publisher's memory are there. If not, what is missing was lost
    /// rather than removed.
    pub fn is_whole(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.folder(kind).is_dir()) && self.own_path("revision.json").exists()
    }

    /// The key that a file in the store belongs to; none for what editors leave beside their files.
    pub fn key_of(&self, path: &Path) -> Option<Key> {
        let mut parts = path.strip_prefix(&self.root).ok()?.iter().map(|part| part.to_str());
        let (first, second) = (parts.next()??, parts.next());
        if parts.next().is_some() {
            return None;
        }
        let (folder, name) = match second {
            Some(name) => (Some(first), name?),
            None => (None, first),
        };
        let (stem, extension) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty() && !stem.starts_with(['.', '#']))?;
        let is_file_of = |kind: &&Kind| kind.extensions().contains(&extension) || (extension == "yml" && **kind != Kind::Page);
        match folder {
            Some(folder) => {
                let kind = Kind::ALL.iter().filter(|kind| !kind.is_single() && kind.name() == folder).find(is_file_of)?;
                Some(Key::new(*kind, stem))
            }
            None => {
                let kind = Kind::ALL.iter().filter(|kind| kind.is_single() && kind.name() == stem).find(is_file_of)?;
                Some(Key::single(*kind))
            }
        }
    }

    /// All keys of a kind that a file stands for.
    pub fn keys(&self, kind: Kind) -> BTreeSet<Key> {
        let files = fs::read_dir(self.folder(kind)).into_iter().flatten().flatten();
        files.filter_map(|file| self.key_of(&file.path())).filter(|key| key.kind == kind).collect()
    }

    /// The path at which ours writes an entry.
    pub fn path_of(&self, key: &Key) -> PathBuf {
        self.root.join(format!("{key}.{}", if key.kind == Kind::Page { "html" } else { "json" }))
    }

    /// Looks what stands under a key now.
    pub fn look(&self, key: &Key) -> Found {
        let names = key.kind.extensions().iter().map(|extension| format!("{key}.{extension}"));
        let present: Vec<_> = names.filter(|name| self.root.join(name).exists()).collect();
        match present.as_slice() {
            [] => self.look_for_yml(key),
            [name] => self.look_at(key, name),
            [name, others @ ..] => {
                let why = format!("{} stands there too; keep one of the two", others.join(" and "));
                broken(name, why)
            }
        }
    }

    fn look_at(&self, key: &Key, name: &str) -> Found {
        match read_text(&self.root.join(name)) {
            Ok(text) => match Entry::read(key, name, text) {
                Ok(entry) => Found::Entry(Arc::new(entry)),
                Err(mistakes) => Found::Broken(mistakes),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(error) => broken(name, format!("the file cannot be read: {error}")),
        }
    }

    fn look_for_yml(&self, key: &Key) -> Found {
        let name = format!("{key}.yml");
        if key.kind != Kind::Page && self.root.join(&name).exists() {
            return broken(&name, format!("only .yaml and .json are read: rename it to {key}.yaml"));
        }
        Found::Nothing
    }
}

fn broken(name: &str, why: String) -> Found {
    Found::Broken(FileMistakes::new(name, "", vec![Reason::new("", why)]))
}

/// The text of a file; anything that is not a file of a bearable size is an error.
fn read_text(path: &Path) -> io::Result<String> {
    // A pipe would keep us waiting for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

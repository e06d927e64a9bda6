//! Secrets at rest: sealed with a key that lies in a file of its own beside the store, never in it.
//!
//! AES-256-GCM with a random nonce. The place of a secret in the store is sealed in with it, so that
//! one entry's secret cannot be passed off as another's.

use std::fmt::{self, Debug, Display};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use karman_contract::read::{At, Read, Reason, Value};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::failure::{Exit, Failure};
use crate::store::{Kind, Place, Store};

/// What a sealed text starts with; another way to seal would start with another word.
const SCHEME: &str = "aes256gcm";
const KEY_BYTES: usize = 32;
/// A key file holds one line of base64.
const FILE_BYTES_MAX: u64 = 256;

/// A secret that only the holder of the key file can read. Its text may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key it was sealed with.
    key_id: String,
    /// The nonce, the secret and the tag.
    bytes: Vec<u8>,
}

/// Seals and opens with the key of one file.
pub struct Sealing {
    key: RandomizedNonceKey,
    key_id: String,
    path: PathBuf,
}

/// Why a sealed secret could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotOpen {
    /// It was sealed with the key of another file.
    OtherKey { wanted: String, found: String, path: PathBuf },
    /// It was changed, or it belongs to another place.
    NotGenuine,
}

impl Sealing {
    /// Reads the key file of a store. Where none is it is made, for its owner alone, unless the store has secrets: those were
    /// sealed with another key, and what is sealed with a new one nobody else could open.
    pub async fn of(store: &dyn Store, path: &Path) -> Result<Self, Failure> {
        if !path.exists() {
            let sealed = store.read(&[Kind::Certificate, Kind::Keys]).await?.entries;
            if let Some((key, _)) = sealed.first() {
                let message = format!(
                    "{}: there is no such file, and the store has secrets ({key}): bring the key file from where they were sealed",
                    path.display()
                );
                return Err(Failure::new(Exit::Data, message));
            }
            return Self::made(path);
        }
        Self::open(path)
    }

    pub(crate) fn made(path: &Path) -> Result<Self, Failure> {
        make_key_file(path).map_err(|error| Failure::system(path.display(), &error))?;
        Self::open(path)
    }

    /// Reads a key file.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let refuse = |error: io::Error| Failure::system(path.display(), &error);
        let file = File::open(path).map_err(refuse)?;
        let mode = file.metadata().map_err(refuse)?.mode();
        if mode & 0o077 != 0 {
            let message = format!("{}: others can read this key (mode {:o}); chmod 600 it", path.display(), mode & 0o777);
            return Err(Failure::new(Exit::Data, message));
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(refuse)?;
        let bytes = STANDARD.decode(text.trim()).ok().filter(|bytes| bytes.len() == KEY_BYTES);
        let key = bytes.and_then(|bytes| Some((RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok()?, key_id(&bytes))));
        let Some((key, key_id)) = key else {
            let message = format!("{}: wanted {KEY_BYTES} random bytes in base64 on one line", path.display());
            return Err(Failure::new(Exit::Data, message));
        };
        Ok(Self { key, key_id, path: path.to_owned() })
    }

    /// Seals a secret for one place, such as `certificates/todos.example.com`.
    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<Sealed, Failure> {
        let mut sealed = secret.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut sealed);
        let nonce = nonce.map_err(|_| Failure::new(Exit::System, "this machine's random numbers or AES failed"))?;
        let mut bytes = nonce.as_ref().to_vec();
        bytes.append(&mut sealed);
        Ok(Sealed { key_id: self.key_id.clone(), bytes })
    }

    /// The secret that was sealed for this place.
    pub fn reveal(&self, place: &str, sealed: &Sealed) -> Result<Vec<u8>, CannotOpen> {
        if sealed.key_id != self.key_id {
            let (wanted, found) = (sealed.key_id.clone(), self.key_id.clone());
            return Err(CannotOpen::OtherKey { wanted, found, path: self.path.clone() });
        }
        let (nonce, secret) = sealed.bytes.split_at_checked(NONCE_LEN).ok_or(CannotOpen::NotGenuine)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CannotOpen::NotGenuine)?;
        let mut secret = secret.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut secret);
        let length = opened.map_err(|_| CannotOpen::NotGenuine)?.len();
        secret.truncate(length);
        Ok(secret)
    }

    /// The same, for a secret that is text.
    pub fn reveal_text(&self, place: &str, sealed: &Sealed) -> Result<String, CannotOpen> {
        String::from_utf8(self.reveal(place, sealed)?).map_err(|_| CannotOpen::NotGenuine)
    }
}

/// The key file of a store: the one that is named, else `KARMAN_KEY_FILE`, else `store.key` in its directory or here.
pub fn key_file(named: Option<PathBuf>, place: &Place) -> PathBuf {
    let named = named.or_else(|| std::env::var_os("KARMAN_KEY_FILE").map(PathBuf::from));
    named.unwrap_or_else(|| match place {
        Place::Directory(dir) => dir.join("store.key"),
        Place::Etcd(_) => PathBuf::from("store.key"),
    })
}

/// Writes a new key beside its place and links it there: of two that make one at the same time,
/// one wins, and neither reads half a file.
fn make_key_file(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    rand::fill(&mut key).map_err(|_| io::Error::other("no random numbers"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let temporary = folder.join(format!(".store-key.{}.tmp", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let written = writeln!(file, "{}", STANDARD.encode(key)).and_then(|()| file.sync_all());
    let linked = match written.and_then(|()| fs::hard_link(&temporary, path)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    fs::remove_file(&temporary)?;
    linked.and_then(|()| File::open(folder)?.sync_all())
}

/// Tells keys apart without telling anything of them.
fn key_id(key: &[u8]) -> String {
    let hash = Sha256::new().chain_update(b"karman key id").chain_update(key).finalize();
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

impl Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}:{}:{}", self.key_id, STANDARD.encode(&self.bytes))
    }
}

impl Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(sealed with key {})", self.key_id)
    }
}

impl FromStr for Sealed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let (scheme, key_id, bytes) = (parts.next(), parts.next(), parts.next());
        let bytes = bytes.and_then(|bytes| STANDARD.decode(bytes).ok());
        match (scheme, key_id, bytes) {
            (Some(SCHEME), Some(key_id), Some(bytes)) => Ok(Self { key_id: key_id.to_owned(), bytes }),
            // The text may be a secret that somebody forgot to seal: it is not repeated.
            _ => Err(format!("wanted a sealed secret: '{SCHEME}:', the id of a key, ':' and base64")),
        }
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Read for Sealed {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let text = if let Value::String(text) = &at.node().value { text.as_str() } else { "" };
        text.parse().map_err(|why: String| at.refuse(reasons, why)).ok()
    }
}

impl Display for CannotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKey { wanted, found, path } => {
                let path = path.display();
                write!(f, "it was sealed with key {wanted}; {path} has key {found}: put the right key file there")
            }
            Self::NotGenuine => f.write_str("it was changed since it was sealed, or belongs to another entry"),
        }
    }
}

impl std::error::Error for CannotOpen {}

#[cfg(test)]
mod tests;

//! What is written together: all of it or nothing, and only if nobody was faster.

use std::fmt::{self, Display};

use super::{Key, Lease};

/// The most entries that one transaction may write; etcd takes 128 operations, and history needs some.
pub const WRITES_MAX: usize = 40;

/// A set of writes with its author.
#[derive(Clone, Debug)]
pub struct Transaction<'a> {
    pub writes: Vec<Write>,
    pub author: Author,
    /// Nothing is written unless this lease is still held.
    pub under: Option<&'a Lease>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub key: Key,
    pub expect: Expect,
    /// `None` removes the entry.
    pub text: Option<String>,
}

/// Who changes something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub by: String,
    pub why: Option<String>,
}

/// What has to stand under a key for a write to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything or nothing: for what has one writer who knows better.
    Anything,
    Absent,
    Version(Version),
}

/// Which version of an entry; compared, never understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub(super) String);

impl<'a> Transaction<'a> {
    pub fn new(author: Author) -> Self {
        Self { writes: Vec::new(), author, under: None }
    }

    /// Writes a text if the entry is as expected.
    #[must_use]
    pub fn put(mut self, key: Key, expect: Expect, text: impl Into<String>) -> Self {
        self.writes.push(Write { key, expect, text: Some(text.into()) });
        self
    }

    /// Removes an entry if it is as expected.
    #[must_use]
    pub fn remove(mut self, key: Key, expect: Expect) -> Self {
        self.writes.push(Write { key, expect, text: None });
        self
    }

    /// Makes all of it depend on a lease.
    #[must_use]
    pub fn under(mut self, lease: &'a Lease) -> Self {
        self.under = Some(lease);
        self
    }

    /// Why no store takes this transaction.
    pub fn mistake(&self) -> Option<String> {
        if self.writes.len() > WRITES_MAX {
            return Some(format!("found {} writes in one transaction, wanted at most {WRITES_MAX}", self.writes.len()));
        }
        self.writes.iter().enumerate().find_map(|(index, Write { key, text, .. })| {
            let length = text.as_ref().map_or(0, String::len);
            if !key.is_writable() {
                Some(format!("'{}' cannot be the key of an entry", key.to_string().escape_debug()))
            } else if self.writes.iter().take(index).any(|other| other.key == *key) {
                Some(format!("{key} is written twice in one transaction"))
            } else if length > super::TEXT_BYTES_MAX {
                Some(format!("{key} has {length} bytes, wanted at most {}", super::TEXT_BYTES_MAX))
            } else {
                None
            }
        })
    }
}

impl Author {
    /// A controller, which needs no reason.
    pub fn controller(name: &str) -> Self {
        Self { by: name.to_owned(), why: None }
    }

    /// The person at the keyboard.
    pub fn person(why: Option<String>) -> Self {
        let user = ["SUDO_USER", "USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
        Self { by: user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())), why }
    }
}

impl Version {
    /// Of what stands in no store yet; it equals no version of one.
    pub fn none() -> Self {
        Self(String::new())
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

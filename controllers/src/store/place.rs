//! Where a store is, as an operator says it with `--store`.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::etcd::{Address, Etcd};
use super::{Directory, Store};
use crate::failure::Failure;

/// A directory, or `etcd://host:port[,host:port][/prefix]`.
#[derive(Clone)]
pub enum Place {
    Directory(PathBuf),
    Etcd(Box<Address>),
}

impl Place {
    /// Opens the store that is there. A directory has to exist; a cluster may be down just now.
    pub async fn open(&self) -> Result<Arc<dyn Store>, Failure> {
        match self {
            Self::Directory(path) if path.is_dir() => Ok(Arc::new(Directory::new(path))),
            Self::Directory(path) => {
                let path = path.display();
                let message = format!("there is no store at {path}: name one with --store DIR, or let 'karman up' make one");
                Err(Failure::usage(message))
            }
            Self::Etcd(address) => Ok(Arc::new(Etcd::open(address.as_ref().clone()).await?)),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("etcd", rest)) => Address::parse(rest, false).map(Box::new).map(Self::Etcd),
            Some(("etcds", rest)) => Address::parse(rest, true).map(Box::new).map(Self::Etcd),
            Some((scheme, _)) => Err(format!("found '{}://', wanted a directory, etcd:// or etcds://", scheme.escape_debug())),
            None if text.is_empty() => Err("wanted a directory, etcd:// or etcds://".to_owned()),
            None => Ok(Self::Directory(PathBuf::from(text))),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Etcd(address) => address.fmt(f),
        }
    }
}

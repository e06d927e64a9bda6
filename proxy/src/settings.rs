//! The process's settings: `edge.yaml` read once into ready types, with every mistake named at once.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use karman_contract::yaml::{FileMistakes, read_yaml};

use crate::access_log::Destination;

mod addresses;
mod limits;
mod read;
#[cfg(test)]
mod tests;

pub use limits::Limits;

/// Everything that the process is told when it starts. Relative paths are relative to the current directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub edge: Edge,
    pub listen: Listen,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    pub admin: Admin,
    pub probe: Probe,
    pub state: State,
    pub threads: usize,
    pub log: Log,
    /// Whether an answer from an app says in `x-karman-instance` which instance gave it.
    pub show_instance: bool,
    pub limits: Limits,
}

/// Which edge this is, in logs, events and the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub name: String,
    pub region: String,
}

/// Where clients come in. At least one address is listed; port 0 lets the system choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    /// Absent: no PROXY header is expected, and one that comes is refused.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// Every connection starts with a PROXY header, which is believed from these networks only.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyProtocol {
    pub from: Vec<IpNet>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub socket: PathBuf,
}

/// Where metrics and health are asked for; nowhere if absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub address: Option<SocketAddr>,
}

/// Where the last good documents are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub access: Destination,
    pub level: tracing::Level,
}

/// A larger file than this is not somebody's settings.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads the settings, or says everything that is wrong with them. Nothing is opened or bound.
pub fn load(path: &Path) -> Result<Settings, SettingsError> {
    let name = path.display().to_string();
    let text = read_text(path).map_err(|source| SettingsError::Unreadable { file: name.clone(), source })?;
    read_yaml(&name, &text).map_err(SettingsError::Mistakes)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("the file is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Why there are no settings. The operator has to act: the process exits 64.
#[derive(Debug)]
pub enum SettingsError {
    Unreadable { file: String, source: io::Error },
    Mistakes(FileMistakes),
}

impl Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, source } => write!(f, "{file}: {source}"),
            Self::Mistakes(mistakes) => mistakes.fmt(f),
        }
    }
}

// No `source`: both messages already say all there is.
impl std::error::Error for SettingsError {}

//! Where an edge is: a socket on this machine, or one on another that ssh forwards.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use crate::store::{Key, Kind};

/// One edge of a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Socket(PathBuf),
    /// `ssh://[user@]host[:port]/path/of/admin.sock`
    Ssh {
        destination: String,
        port: Option<u16>,
        socket: PathBuf,
    },
}

/// What an edge is called in the store's keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Label(String);

impl Target {
    /// As another process can use it, which may run in another folder.
    pub fn absolute(self) -> Self {
        match self {
            Self::Socket(path) => Self::Socket(std::path::absolute(&path).unwrap_or(path)),
            ssh @ Self::Ssh { .. } => ssh,
        }
    }

    pub fn label(&self) -> Label {
        match self {
            Self::Socket(_) => Label::from_name(&rustix::system::uname().nodename().to_string_lossy()),
            Self::Ssh { destination, port, .. } => {
                let host = destination.rsplit_once('@').map_or(destination.as_str(), |(_, host)| host);
                Label::from_name(&port.map_or_else(|| host.to_owned(), |port| format!("{host}-{port}")))
            }
        }
    }
}

impl Label {
    /// Replaces what a key cannot hold.
    pub fn from_name(name: &str) -> Self {
        let harmless = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = name.trim_start_matches('.').chars().map(harmless).take(100).collect();
        Self(if name.is_empty() { "edge".to_owned() } else { name })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn report_key(&self) -> Key {
        Key::new(Kind::Status, &format!("publish/{self}"))
    }

    /// The label in `status/publish/LABEL`.
    pub fn of_report(key: &Key) -> Option<Self> {
        key.id.strip_prefix("publish/").filter(|_| key.kind == Kind::Status).map(|label| Self(label.to_owned()))
    }

    pub fn accept_key(&self) -> Key {
        Key::new(Kind::Accepted, &self.0)
    }

    /// The lease of whoever publishes to this edge.
    pub fn lease(&self) -> String {
        format!("publish/{self}")
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("found '{}', wanted ssh://[user@]host[:port]/path/of/admin.sock, or a path", text.escape_debug());
        let Some(rest) = text.strip_prefix("ssh://") else {
            return if text.contains("://") || text.is_empty() { Err(wanted()) } else { Ok(Self::Socket(PathBuf::from(text))) };
        };
        let (authority, path) = rest.split_once('/').filter(|(_, path)| !path.is_empty()).ok_or_else(wanted)?;
        let (destination, port) = match authority.rsplit_once(':') {
            Some((destination, port)) => (destination, Some(port.parse().map_err(|_| wanted())?)),
            None => (authority, None),
        };
        // ssh would take what begins with a dash for an option.
        if destination.is_empty() || destination.starts_with('-') || destination.chars().any(char::is_whitespace) {
            return Err(wanted());
        }
        Ok(Self::Ssh { destination: destination.to_owned(), port, socket: PathBuf::from(format!("/{path}")) })
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Ssh { destination, port: Some(port), socket } => write!(f, "ssh://{destination}:{port}{}", socket.display()),
            Self::Ssh { destination, port: None, socket } => write!(f, "ssh://{destination}{}", socket.display()),
        }
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

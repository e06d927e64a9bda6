//! The proxy's settings as `karman up` needs them: written once, read back, overridden for one run.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use karman_contract::read::{Node, Reason, Value};
use karman_contract::yaml::{FileMistakes, parse_yaml};
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::layer::{entries, field};
use crate::store::dir::write::{write_durably, write_json};

const TEMPLATE: &str = include_str!("edge.yaml");

/// Where browsers come in unless somebody says otherwise.
pub const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const HTTPS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);

/// The addresses that were asked for on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub http: Option<SocketAddr>,
    pub https: Option<SocketAddr>,
}

impl Asked {
    /// Who lets the system choose a port for the one wants no fixed one for the other.
    fn https(self) -> Option<SocketAddr> {
        self.https.or_else(|| self.http.filter(|http| http.port() == 0))
    }
}

/// What `karman up` has to know of them.
#[derive(Debug)]
pub struct Settings {
    /// The file that the proxy is started with, relative to the data directory.
    pub file: PathBuf,
    pub listen: SocketAddr,
    /// None: no HTTPS.
    pub listen_https: Option<SocketAddr>,
    /// Relative to the data directory.
    pub socket: PathBuf,
}

impl Settings {
    /// Reads `edge.yaml`, after writing it if it is not there. What is asked for goes before what it says.
    pub fn open(dir: &Path, asked: Asked) -> Result<Self, Failure> {
        let path = dir.join("edge.yaml");
        let refuse = |error: std::io::Error| Failure::system(path.display(), &error);
        if !path.exists() {
            let text = TEMPLATE.replace("LISTEN", &asked.http.unwrap_or(HTTP).to_string());
            let text = text.replace("HTTPS\"", &format!("{}\"", asked.https().unwrap_or(HTTPS)));
            write_durably(&path, text.as_bytes()).map_err(refuse)?;
        }
        let text = fs::read_to_string(&path).map_err(refuse)?;
        let name = path.display().to_string();
        let mistake =
            |reason| Failure::new(Exit::Usage, FileMistakes::new(name.clone(), text.as_str(), vec![reason]).to_string());
        let node = parse_yaml(&text).map_err(mistake)?;
        let missing = |what: &str| mistake(Reason::new("", format!("'karman up' needs {what} to know where the proxy is")));
        let said = first_listen(&node, "http").ok_or_else(|| missing("listen.http"))?;
        let said_https = first_listen(&node, "https");
        let socket = text_at(&node, &["admin", "socket"]).ok_or_else(|| missing("admin.socket"))?;
        let socket = PathBuf::from(socket);
        let listen = asked.http.unwrap_or(said);
        // A file of somebody who wants no HTTPS is left as it is, unless HTTPS is asked for by name.
        let listen_https = asked.https.or_else(|| said_https.map(|said| asked.https().unwrap_or(said)));
        if (listen, listen_https) == (said, said_https) {
            return Ok(Self { file: "edge.yaml".into(), listen, listen_https, socket });
        }
        let file = PathBuf::from("run/edge.json");
        let mut settings = json(&node);
        settings["listen"]["http"] = json!([listen]);
        if let Some(https) = listen_https {
            settings["listen"]["https"] = json!([https]);
        }
        write_json(&dir.join(&file), &settings).map_err(refuse)?;
        Ok(Self { file, listen, listen_https, socket })
    }

    /// Settings without a file that a person could edit, for `karman try`.
    pub fn passing(dir: &Path, listen: SocketAddr) -> Result<Self, Failure> {
        let settings = json!({
            "edge": {"name": "try", "region": "local"},
            "listen": {"http": [listen]},
            "admin": {"socket": "run/admin.sock"},
            "probe": {"address": "127.0.0.1:0"},
            "state": {"dir": "edge"},
            "log": {"access": "log/access.log", "level": "info"},
            "limits": {"grace_seconds": 3},
        });
        let file = PathBuf::from("run/edge.json");
        write_json(&dir.join(&file), &settings).map_err(|error| Failure::system(file.display(), &error))?;
        Ok(Self { file, listen, listen_https: None, socket: "run/admin.sock".into() })
    }
}

fn first_listen(node: &Node, name: &str) -> Option<SocketAddr> {
    let listen = field(field(node, "listen")?, name)?;
    let Value::List(addresses) = &listen.value else { return None };
    match &addresses.first()?.value {
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn text_at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a str> {
    let node = path.iter().try_fold(node, |node, name| field(node, name))?;
    if let Value::String(text) = &node.value { Some(text) } else { None }
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => json!(value),
        Value::Integer(value) => i64::try_from(*value).map_or_else(|_| json!(value.to_string()), |value| json!(value)),
        Value::Float(value) => json!(value),
        Value::String(text) => json!(text),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(_) => entries(node).iter().map(|(field, node)| (field.name.clone(), json(node))).collect(),
    }
}

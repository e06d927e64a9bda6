//! The proxy's settings as `karman up` needs them: written once, read back, overridden for one run.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use karman_contract::read::{Node, Reason, Value};
use karman_contract::yaml::{FileMistakes, parse_yaml};
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::layer::{entries, field};
use crate::store::dir::write::{write_durably, write_json};

const TEMPLATE: &str = include_str!("edge.yaml");

/// What `karman up` has to know of them.
#[derive(Debug)]
pub struct Settings {
    /// The file that the proxy is started with, relative to the data directory.
    pub file: PathBuf,
    pub listen: SocketAddr,
    /// Relative to the data directory.
    pub socket: PathBuf,
}

impl Settings {
    /// Reads `edge.yaml`, after writing it if it is not there. `listen` goes before what it says.
    pub fn open(dir: &Path, listen: Option<SocketAddr>, default: SocketAddr) -> Result<Self, Failure> {
        let path = dir.join("edge.yaml");
        let refuse = |error: std::io::Error| Failure::system(path.display(), &error);
        if !path.exists() {
            let text = TEMPLATE.replace("LISTEN", &listen.unwrap_or(default).to_string());
            write_durably(&path, text.as_bytes()).map_err(refuse)?;
        }
        let text = fs::read_to_string(&path).map_err(refuse)?;
        let name = path.display().to_string();
        let mistake =
            |reason| Failure::new(Exit::Usage, FileMistakes::new(name.clone(), text.as_str(), vec![reason]).to_string());
        let node = parse_yaml(&text).map_err(mistake)?;
        let missing = |what: &str| mistake(Reason::new("", format!("'karman up' needs {what} to know where the proxy is")));
        let said = first_listen(&node).ok_or_else(|| missing("listen.http"))?;
        let socket = text_at(&node, &["admin", "socket"]).ok_or_else(|| missing("admin.socket"))?;
        let socket = PathBuf::from(socket);
        match listen.filter(|listen| *listen != said) {
            None => Ok(Self { file: "edge.yaml".into(), listen: said, socket }),
            Some(listen) => {
                let file = PathBuf::from("run/edge.json");
                let mut settings = json(&node);
                if let Some(http) = settings.pointer_mut("/listen/http") {
                    *http = json!([listen]);
                }
                write_json(&dir.join(&file), &settings).map_err(refuse)?;
                Ok(Self { file, listen, socket })
            }
        }
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
        Ok(Self { file, listen, socket: "run/admin.sock".into() })
    }
}

fn first_listen(node: &Node) -> Option<SocketAddr> {
    let http = field(field(node, "listen")?, "http")?;
    let Value::List(addresses) = &http.value else { return None };
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

//! What `karman up` puts into an empty directory: a store with comments, and the sample app.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::child::{Again, Service};
use super::machine::{Machine, PROXY, PUBLISHER};
use super::spoken;
use crate::failure::Failure;
use crate::store::dir::write::write_durably;
use crate::store::{Directory, Found, Key, Kind};

pub const HOST: &str = "todos.localhost";

const INSTANCES: [&str; 2] = ["todos-1-a", "todos-1-b"];

/// Long enough to see what an app with one instance less does.
const AGAIN: Duration = Duration::from_secs(5);

/// The files of a new store; the examples of `config/` are the same.
const FILES: [(&str, &str); 3] = [
    ("platform.yaml", include_str!("../../../config/store/platform.yaml")),
    ("defaults.yaml", include_str!("../../../config/store/defaults.yaml")),
    ("apps/todos.yaml", include_str!("../../../config/store/apps/todos.yaml")),
];

/// Fills a directory that is no store yet. What a person removed from one stays removed.
pub fn fill(dir: &Path) -> Result<(), Failure> {
    if dir.join("apps").exists() {
        return Ok(());
    }
    for (name, text) in FILES {
        let path = dir.join(name);
        if !path.exists() {
            write_durably(&path, text.as_bytes()).map_err(|error| Failure::system(path.display(), &error))?;
        }
    }
    Ok(())
}

/// Whether the store still has the sample app.
pub fn is_there(dir: &Path) -> bool {
    !matches!(Directory::new(dir).find(&Key::new(Kind::App, "todos")), Found::Nothing)
}

/// The instances of the sample app; they share their todos through one file.
pub fn services(program: &Path, dir: &Path) -> Result<Vec<Service>, Failure> {
    let dir = fs::canonicalize(dir).map_err(|error| Failure::system(dir.display(), &error))?;
    let service = |name: &str| Service {
        name: name.to_owned(),
        program: program.to_owned(),
        arguments: ["--listen", "127.0.0.1:0", "--instance", name, "--data", "todos.log"].map(Into::into).into(),
        log: Some(dir.join(format!("log/{name}.log"))),
        dir: dir.clone(),
        again: Again::After(AGAIN),
    };
    Ok(INSTANCES.map(service).into())
}

/// What runs, where to look, what to try.
pub fn greeting(machine: &Machine, address: SocketAddr, after: Duration) -> String {
    let dir = machine.dir.display();
    let has_sample = is_there(&machine.dir);
    let pid = |name: &str| machine.pids.get(name).map_or_else(|| "-".to_owned(), ToString::to_string);
    let karman = std::env::args().next().unwrap_or_else(|| "karman".to_owned());
    let store = if machine.dir == Path::new("data") { String::new() } else { format!(" --store {dir}") };
    let mut lines = vec![String::new()];
    lines.push(match has_sample {
        true => format!("http://{HOST}:{}  the first page came after {}", address.port(), spoken(after)),
        false => format!("http://{address}  serves the apps of {dir}/apps, after {}", spoken(after)),
    });
    if let Some(https) = machine.https {
        lines.push(match has_sample {
            true => format!("https://{HOST}:{}  by the CA of this store, which no browser trusts yet", https.port()),
            false => format!("https://{https}  with the certificates of the store"),
        });
    }
    lines.push(String::new());
    lines.push(format!("  proxy      pid {:<7}  logs in {dir}/log, settings in {dir}/edge.yaml", pid(PROXY)));
    lines.push(format!("  publisher  pid {:<7}  watches the store in {dir}", pid(PUBLISHER)));
    lines.extend(machine.addresses.iter().map(|(name, address)| format!("  {name}  pid {:<7}  {address}", pid(name))));
    lines.extend([String::new(), "Try:".to_owned()]);
    if has_sample {
        let [one, other] = INSTANCES.map(pid);
        lines.push(format!(
            "  edit {dir}/apps/todos.yaml: 'state: maintenance' closes it; a mistake is shown below, with its line"
        ));
        lines.push(format!("  kill -9 {one:<14}  its tabs go on with the other instance; it is back after 5 s"));
        lines.push(format!(
            "  kill -9 {:<14}  a page says that the app is down, and comes back with it",
            format!("{one} {other}")
        ));
    }
    if let Some(https) = machine.https.filter(|_| has_sample) {
        lines.push(format!("  curl --cacert <({karman} certificates root{store}) https://{HOST}:{}/", https.port()));
        lines.push(format!(
            "  {karman} certificates root{store} > root.pem, and import that where your browser keeps its authorities"
        ));
    }
    let id = if has_sample { "todos" } else { "ID" };
    lines.push(format!("  {karman} status{store}, and: apps, app {id} --effective, events --follow, maintenance {id} on"));
    lines.push("Ctrl-C stops all of it.\n".to_owned());
    lines.join("\n")
}

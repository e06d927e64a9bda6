//! The app that `karman try` stands before: where it listens, and whether it answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::machine::{Machine, PROXY, PUBLISHER};
use super::spoken;
use crate::failure::{Exit, Failure};

/// Where the app is served; the first is the one to open.
pub const HOSTS: [&str; 3] = ["try.localhost", "localhost", "127.0.0.1"];

const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Finds the instances that answer. Those that do not are named; none that answers is a failure.
pub async fn find(named: &[String]) -> Result<Vec<SocketAddr>, Failure> {
    let mut found = Vec::new();
    let mut silent = Vec::new();
    for name in named {
        match find_one(name).await {
            Ok(address) => found.push(address),
            Err(why) => silent.push(format!("{name} does not answer: {why}")),
        }
    }
    if found.is_empty() {
        silent.push("start your app first, and say where it listens".to_owned());
        return Err(Failure::new(Exit::Unavailable, silent.join("\n")));
    }
    silent.iter().for_each(|line| eprintln!("karman: {line}; going on without it"));
    Ok(found)
}

async fn find_one(name: &str) -> Result<SocketAddr, String> {
    // A bare port is one of this machine.
    let name = if name.parse::<u16>().is_ok() { format!("localhost:{name}") } else { name.to_owned() };
    let addresses = lookup_host(&name).await.map_err(|error| format!("{error} (wanted HOST:PORT)"))?;
    let mut last = "the name has no address".to_owned();
    // `localhost` has two addresses, and an app often listens on one of them.
    for address in addresses {
        match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no connection within {} s", CONNECT_WITHIN.as_secs()),
        }
    }
    Err(last)
}

/// The instances as the store has them.
pub fn entry(addresses: &[SocketAddr]) -> BTreeMap<String, Value> {
    addresses.iter().enumerate().map(|(index, address)| (format!("try-{}", index + 1), json!({"address": address}))).collect()
}

/// What runs and where to look.
pub fn greeting(machine: &Machine, hosts: &[String], instances: &[SocketAddr], address: SocketAddr, after: Duration) -> String {
    let dir = machine.dir.display();
    let pid = |name: &str| machine.pids.get(name).map_or_else(|| "-".to_owned(), ToString::to_string);
    let karman = std::env::args().next().unwrap_or_else(|| "karman".to_owned());
    let instances: Vec<_> = instances.iter().map(ToString::to_string).collect();
    let port = address.port();
    format!(
        "\nhttp://{}:{port}  your app, the first page came after {}\n\n\
         \x20 before     {}\n\
         \x20 also as    {}\n\
         \x20 proxy      pid {}, logs in {dir}/log\n\
         \x20 publisher  pid {}\n\n\
         {karman} status --store {dir} tells more, and so do apps, app try, events --follow.\n\
         Ctrl-C stops the proxy, not your app; nothing stays behind.\n",
        hosts[0],
        spoken(after),
        instances.join(", "),
        hosts[1..].join(", "),
        pid(PROXY),
        pid(PUBLISHER),
    )
}

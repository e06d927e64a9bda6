//! `karman up` and `karman try`: everything on one machine, under one Ctrl-C.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use karman_contract::name::HostPattern;
use serde_json::json;
use tokio::time::Instant;

use crate::failure::{Exit, Failure};
use crate::signals::Signals;
use crate::store::dir::lock::{Lock, Locked};
use crate::verbs::print;

pub mod backends;
pub mod child;
pub mod machine;
pub mod page;
pub mod sample;
pub mod settings;

use machine::Machine;
use settings::Settings;

#[derive(clap::Args)]
pub struct Up {
    /// The directory for the store, the proxy's state, the logs and the sample app's data
    #[arg(long, value_name = "DIR", default_value = "data")]
    dir: PathBuf,

    /// Where browsers come in [default: what DIR/edge.yaml says, at first 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// The same for HTTPS [default: what DIR/edge.yaml says, at first 127.0.0.1:8443]
    #[arg(long, value_name = "ADDRESS")]
    listen_https: Option<SocketAddr>,
}

#[derive(clap::Args)]
pub struct Try {
    /// Where the app listens: 127.0.0.1:3000, localhost:3000 or just 3000; each one is an instance
    #[arg(required = true, value_name = "ADDRESS")]
    instances: Vec<String>,

    /// Where browsers come in
    #[arg(long, value_name = "ADDRESS", default_value_t = settings::HTTP)]
    listen: SocketAddr,

    /// One more host under which the app is served
    #[arg(long, value_name = "NAME")]
    host: Option<HostPattern>,
}

pub async fn up(options: Up) -> Result<(), Failure> {
    let started = Instant::now();
    let (proxy, sample) = (sibling("karman-proxy")?, sibling("karman-sample")?);
    let dir = options.dir;
    make_folders(&dir)?;
    let lock = take_lock(&dir)?;
    let settings = Settings::open(&dir, settings::Asked { http: options.listen, https: options.listen_https })?;
    let mut machine = Machine::new(dir.clone(), settings, lock);
    machine.check(&proxy).await?;
    sample::fill(&dir)?;

    machine.start_secrets()?;
    let host = sample::is_there(&dir).then_some(sample::HOST);
    if host.is_some() {
        sample::services(&sample, &dir)?.into_iter().for_each(|service| machine.start(service));
    }
    serve(machine, &proxy, host, |machine, address| sample::greeting(machine, address, started.elapsed())).await
}

pub async fn try_app(options: Try) -> Result<(), Failure> {
    let started = Instant::now();
    let proxy = sibling("karman-proxy")?;
    let instances = backends::find(&options.instances).await?;
    // Removed with all that is in it when this function ends.
    let folder = tempfile::Builder::new().prefix("karman-try-").tempdir();
    let folder = folder.map_err(|error| Failure::system("a temporary directory", &error))?;
    let dir = folder.path().to_owned();
    make_folders(&dir)?;
    let lock = take_lock(&dir)?;
    let settings = Settings::passing(&dir, options.listen)?;
    let machine = Machine::new(dir, settings, lock);
    machine.check(&proxy).await?;

    let named = options.host.map(|host| host.to_string());
    let hosts: Vec<_> = backends::HOSTS.into_iter().map(str::to_owned).chain(named).collect();
    machine.write("apps/try.json", &json!({"hosts": hosts, "instances": backends::entry(&instances)}))?;
    let greeting = |machine: &Machine, address| backends::greeting(machine, &hosts, &instances, address, started.elapsed());
    serve(machine, &proxy, Some(backends::HOSTS[0]), greeting).await
}

/// Starts the proxy and the publisher, says what runs once a page came, and minds it all until told to stop.
async fn serve(
    mut machine: Machine,
    proxy: &Path,
    host: Option<&str>,
    greeting: impl FnOnce(&Machine, SocketAddr) -> String,
) -> Result<(), Failure> {
    let mut signals = Signals::heard()?;
    machine.start_edge(proxy)?;
    let served = tokio::select! {
        served = machine.wait_until_served(host) => served,
        () = signals.stop() => return machine.stop(&mut signals).await,
    };
    let said = served.and_then(|address| print(&greeting(&machine, address)));
    if let Err(failure) = said {
        machine.stop(&mut signals).await?;
        return Err(failure);
    }
    tokio::select! {
        () = machine.mind() => {}
        () = signals.stop() => print("\nstopping\n")?,
    }
    machine.stop(&mut signals).await
}

/// A program that was built together with this one.
fn sibling(name: &str) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::system("this program's own path", &error))?;
    let path = own.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    let message = format!("{name} is missing: {} is not there; 'make up' builds all programs into one place", path.display());
    Err(Failure::new(Exit::Unavailable, message))
}

fn make_folders(dir: &Path) -> Result<(), Failure> {
    let folders = ["run", "log"].map(|name| dir.join(name));
    folders.iter().try_for_each(fs::create_dir_all).map_err(|error| Failure::system(dir.display(), &error))
}

fn take_lock(dir: &Path) -> Result<Lock, Failure> {
    match Lock::take(&dir.join("run/up.lock")) {
        Ok(Locked::Ours(lock)) => Ok(lock),
        Ok(Locked::Theirs(holder)) => {
            let holder = holder.map_or_else(String::new, |holder| format!(" ({holder})"));
            let message = format!("karman up{holder} runs in {} already; stop it, or choose another --dir", dir.display());
            Err(Failure::new(Exit::NotNow, message))
        }
        Err(error) => Err(Failure::system(dir.display(), &error)),
    }
}

/// A short time as people say it.
fn spoken(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds @ 0..1_000 => format!("{milliseconds} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

//! One machine's programs and what is known of them: started in order, minded, stopped in order.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::child::{Again, News, Running, Service};
use super::page::first_page;
use super::settings::Settings;
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::signals::Signals;
use crate::store::dir::lock::Lock;
use crate::store::dir::write::write_json;
use crate::verbs::print;

const FIRST_PAGE_WITHIN: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// A proxy that ended this often before it served will not serve.
const FAILED_STARTS_MAX: usize = 3;

pub const PROXY: &str = "proxy";
pub const PUBLISHER: &str = "publisher";
/// Controllers go by the command that runs them.
const CERTIFICATES: &str = "certificates";
const KEYS: &str = "keys";

pub struct Machine {
    pub dir: PathBuf,
    pub settings: Settings,
    /// By the names of the services that run.
    pub pids: BTreeMap<String, u32>,
    /// Where the instances listen that run.
    pub addresses: BTreeMap<String, SocketAddr>,
    /// Where the proxy listens for HTTPS, once it does.
    pub https: Option<SocketAddr>,
    /// In the order of their start; they are stopped in the other.
    running: Vec<Running>,
    news: mpsc::Receiver<News>,
    tell: mpsc::Sender<News>,
    failed_starts: usize,
    /// Whether people were told that all runs: from then on they are told what changes.
    is_up: bool,
    _lock: Lock,
}

impl Machine {
    pub fn new(dir: PathBuf, settings: Settings, lock: Lock) -> Self {
        let (tell, news) = mpsc::channel(64);
        Self {
            dir,
            settings,
            pids: BTreeMap::new(),
            addresses: BTreeMap::new(),
            https: None,
            running: Vec::new(),
            news,
            tell,
            failed_starts: 0,
            is_up: false,
            _lock: lock,
        }
    }

    pub fn admin(&self) -> Admin {
        Admin::new(self.dir.join(&self.settings.socket))
    }

    /// Refuses what could not work, before anything is started.
    pub async fn check(&self, proxy: &Path) -> Result<(), Failure> {
        let mut command = Command::new(proxy);
        command.arg("--settings").arg(&self.settings.file).arg("--check").current_dir(&self.dir).stdin(Stdio::null());
        let checked = command.output().await.map_err(|error| Failure::system(proxy.display(), &error))?;
        if !checked.status.success() {
            return Err(Failure::usage(String::from_utf8_lossy(&checked.stderr).trim_end().to_owned()));
        }
        if let Ok(status) = self.admin().status().await {
            let pid = status.processes.first().map_or(0, |process| process.pid);
            let socket = self.admin().socket().display().to_string();
            let message = format!("a proxy (pid {pid}) answers at {socket} already; end it first: kill {pid}");
            return Err(Failure::new(Exit::NotNow, message));
        }
        check_free(self.settings.listen, "--listen")?;
        self.settings.listen_https.map_or(Ok(()), |listen| check_free(listen, "--listen-https"))
    }

    pub fn start(&mut self, service: Service) {
        self.running.push(Running::start(service, self.tell.clone()));
    }

    /// Starts the proxy and its publisher. They run inside the directory: its paths are short there,
    /// as that of a socket has to be, and settings go on being true when it is moved.
    pub fn start_edge(&mut self, proxy: &Path) -> Result<(), Failure> {
        let dir = fs::canonicalize(&self.dir).map_err(|error| Failure::system(self.dir.display(), &error))?;
        let own = std::env::current_exe().map_err(|error| Failure::system("this program's own path", &error))?;
        self.start(Service {
            name: PROXY.to_owned(),
            program: proxy.to_owned(),
            arguments: vec!["--settings".into(), self.settings.file.clone().into()],
            log: Some(dir.join("log/proxy.log")),
            dir: dir.clone(),
            again: Again::BackingOff,
        });
        // What the publisher finds wrong is for who edits the files: it goes to the terminal.
        self.start(Service {
            name: PUBLISHER.to_owned(),
            program: own,
            arguments: vec![
                "publish".into(),
                "--store".into(),
                ".".into(),
                "--socket".into(),
                self.settings.socket.clone().into(),
            ],
            log: None,
            dir,
            again: Again::BackingOff,
        });
        Ok(())
    }

    /// Starts the controllers of certificates and of the keys that edges share.
    pub fn start_secrets(&mut self) -> Result<(), Failure> {
        let dir = fs::canonicalize(&self.dir).map_err(|error| Failure::system(self.dir.display(), &error))?;
        let own = std::env::current_exe().map_err(|error| Failure::system("this program's own path", &error))?;
        for name in [CERTIFICATES, KEYS] {
            self.start(Service {
                name: name.to_owned(),
                program: own.clone(),
                arguments: [name, "--store", "."].map(Into::into).into(),
                log: Some(dir.join(format!("log/{name}.log"))),
                dir: dir.clone(),
                again: Again::BackingOff,
            });
        }
        Ok(())
    }

    /// Writes an entry of the store.
    pub fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let path = self.dir.join(name);
        write_json(&path, value).map_err(|error| Failure::system(path.display(), &error))
    }

    /// Waits until the proxy answers, and until `host`, if there is one, has a page. The address
    /// that the proxy listens on.
    pub async fn wait_until_served(&mut self, host: Option<&str>) -> Result<SocketAddr, Failure> {
        let served = served(self.admin(), host);
        tokio::pin!(served);
        let why = loop {
            tokio::select! {
                served = &mut served => match served {
                    Ok((address, https)) => {
                        (self.is_up, self.https) = (true, https);
                        return Ok(address);
                    }
                    Err(why) => break why,
                },
                Some(news) = self.news.recv() => self.hear(news),
            }
            if self.failed_starts >= FAILED_STARTS_MAX {
                break "the proxy does not stay alive".to_owned();
            }
        };
        let log = self.dir.join("log/proxy.log");
        let said = fs::read_to_string(&log).unwrap_or_default();
        let said: Vec<_> = said.lines().rev().take(5).collect();
        let said: String = said.iter().rev().map(|line| format!("\n  {line}")).collect();
        Err(Failure::new(Exit::Unavailable, format!("{why}; {} ends with:{said}", log.display())))
    }

    /// Says what changes, for ever.
    pub async fn mind(&mut self) {
        while let Some(news) = self.news.recv().await {
            self.hear(news);
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Started { name, pid } => {
                if self.is_up && [PROXY, PUBLISHER].contains(&name.as_str()) {
                    say(&format!("{name} runs again: pid {pid}"));
                }
                self.pids.insert(name, pid);
            }
            News::Listening { name, address } => {
                if self.is_up {
                    let pid = self.pids.get(&name).copied().unwrap_or(0);
                    say(&format!("{name} runs again: pid {pid}, {address}"));
                }
                self.addresses.insert(name, address);
                self.write_instances();
            }
            News::Ended { name, pid, how, again } => {
                self.failed_starts += usize::from(name == PROXY);
                say(&format!("{name} (pid {pid}) ended: {how}; started again in {:.1} s", again.as_secs_f64()));
                self.pids.remove(&name);
                if self.addresses.remove(&name).is_some() {
                    self.write_instances();
                }
            }
        }
    }

    /// Here `karman up` is the scheduler: it alone knows who runs where.
    fn write_instances(&self) {
        let entry = |address: &SocketAddr| json!({"address": address, "release": 1});
        let instances: BTreeMap<&String, Value> = self.addresses.iter().map(|(name, address)| (name, entry(address))).collect();
        if let Err(failure) = self.write("instances/todos.json", &instances) {
            say(&failure.message);
        }
    }

    /// Stops all, the last started first; at once when asked a second time.
    pub async fn stop(mut self, signals: &mut Signals) -> Result<(), Failure> {
        self.news.close();
        let (hurry, hurried) = watch::channel(false);
        let ending = async {
            while let Some(running) = self.running.pop() {
                running.stop(hurried.clone()).await;
            }
        };
        tokio::pin!(ending);
        loop {
            tokio::select! {
                () = &mut ending => return Ok(()),
                () = signals.stop() => drop(hurry.send(true)),
            }
        }
    }
}

/// Refuses an address that somebody else listens on; `option` chooses another.
fn check_free(listen: SocketAddr, option: &str) -> Result<(), Failure> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let other = SocketAddr::new(listen.ip(), listen.port().wrapping_add(10).max(1_024));
            let message = format!("{listen} is in use by another program; choose another: {option} {other}");
            Err(Failure::new(Exit::Unavailable, message))
        }
        Err(error) => Err(Failure::system(listen, &error)),
    }
}

/// Waits for the proxy, then for a page of `host`.
async fn served(admin: Admin, host: Option<&str>) -> Result<(SocketAddr, Option<SocketAddr>), String> {
    let deadline = Instant::now() + FIRST_PAGE_WITHIN;
    let status = loop {
        match admin.status().await {
            Ok(status) => break status,
            Err(error) if Instant::now() > deadline => return Err(format!("the proxy does not answer: {error}")),
            Err(_) => sleep(ASK_AGAIN).await,
        }
    };
    let parsed = |addresses: &[String]| addresses.first().and_then(|address| address.parse().ok());
    let (address, https) = (parsed(&status.bound.http), parsed(&status.bound.https));
    let address = address.ok_or_else(|| "the proxy listens nowhere for HTTP".to_owned())?;
    if let Some(host) = host {
        first_page(address, host, deadline.duration_since(Instant::now()))
            .await
            .map_err(|last| format!("no page came for {host}, the last answer was: {last}"))?;
    }
    Ok((address, https))
}

/// Something happened while people do something else; it is one line.
fn say(line: &str) {
    // Nobody may be reading any more, which is no reason to stop.
    let _ = print(&format!("{line}\n"));
}

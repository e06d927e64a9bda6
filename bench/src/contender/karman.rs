//! Karman as the lab runs it: the binary beside this one, in a folder that ends with the run.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::launch::Place;
use super::{HOST, Job, Kind, NEIGHBOUR, installed};
use crate::http::Connection;

/// How long a proxy may take to answer at its admin socket.
const START_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Karman {
    dir: PathBuf,
    /// The one that serves, last; before it, those that were taken over from.
    generations: Vec<Child>,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
}

impl Karman {
    /// Starts a proxy with no tables.
    pub(crate) fn start() -> io::Result<Self> {
        Self::start_with(|_| "\"off\"".to_owned())
    }

    /// The same with an access log, in a file.
    pub(crate) fn start_logged() -> io::Result<Self> {
        Self::start_with(|dir| dir.join("access.log").display().to_string())
    }

    fn start_with(access: impl FnOnce(&Path) -> String) -> io::Result<Self> {
        // A fixed port, found free once: a restart must come back where clients ask for it.
        let Place { dir, address, https } = Place::find("karman")?;
        let folder = dir.display();
        // All clients of the lab are one network, and one name: the limits on those would be what is measured.
        let settings = format!(
            "listen: {{http: [\"{address}\"], https: [\"{https}\"]}}\nadmin: {{socket: {folder}/admin.sock}}\nstate: {{dir: {folder}/state}}\n\
             log: {{access: {}, level: warn}}\nlimits: {{keepalive_requests: 100000, handshakes_per_second_network: 0, handshakes_per_second_name: 0}}\n",
            access(&dir)
        );
        fs::write(dir.join("edge.yaml"), settings)?;
        let process = spawn(&dir, &[])?;
        let mut karman = Self { dir, generations: vec![process], http: address, https };
        karman.until_up()?;
        Ok(karman)
    }

    /// Puts the apps of a job, and its certificate.
    pub(crate) fn put_job(&self, job: &Job) -> io::Result<()> {
        let status = self.status()?;
        let next = |kind: &str| status["documents"][kind]["generation"].as_u64().unwrap_or(0) + 1;
        let bound = job.bound.map_or(String::new(), |bound| {
            format!(r#","limits":{{"requests_in_flight":{},"queue":{}}}"#, bound.in_flight, bound.queue)
        });
        let neighbour = job.neighbour.map(|instance| format!(r#","beside":{}"#, app(NEIGHBOUR, &[instance], &bound)));
        let todos = app(HOST, &job.instances, &job.fields);
        self.put_apps(next("apps"), &format!(r#""todos":{todos}{}"#, neighbour.unwrap_or_default()))?;
        match &job.certificate {
            Some(certificate) => self.put_certificates(next("certificates"), &certificate.item("todos", HOST)),
            None => Ok(()),
        }
    }

    /// Puts a whole document; `apps` are the members of its object.
    pub(crate) fn put_apps(&self, generation: u64, apps: &str) -> io::Result<()> {
        self.change("PUT", &format!(r#"{{"generation":{generation},"apps":{{{apps}}}}}"#))
    }

    /// Puts a whole document; `certificates` are the members of its object.
    pub(crate) fn put_certificates(&self, generation: u64, certificates: &str) -> io::Result<()> {
        let document = format!(r#"{{"generation":{generation},"certificates":{{{certificates}}}}}"#);
        self.change_of("certificates", "PUT", &document)
    }

    /// Sends a change of the apps, and wants it to be live and on disk.
    pub(crate) fn change(&self, method: &str, document: &str) -> io::Result<()> {
        self.change_of("apps", method, document)
    }

    /// Sends a change of this kind of document, and wants it to be live and on disk.
    pub(crate) fn change_of(&self, kind: &str, method: &str, document: &str) -> io::Result<()> {
        let answer = self.admin()?.ask(method, "admin", &format!("/v1/{kind}"), document.as_bytes())?;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status == 200 && said.contains(r#""saved":true"#) { Ok(()) } else { Err(io::Error::other(said)) }
    }

    /// Kills the proxy and starts it on what is on disk; returns at once.
    pub(crate) fn kill_and_start(&mut self) -> io::Result<Instant> {
        self.end();
        let start = Instant::now();
        self.generations.push(spawn(&self.dir, &[])?);
        Ok(start)
    }

    /// Starts the next process, which takes over the listeners; the old one keeps its tunnels.
    pub(crate) fn upgrade(&mut self) -> io::Result<()> {
        self.generations.push(spawn(&self.dir, &["--upgrade"])?);
        self.until_up()
    }

    /// Until the newest process answers at the admin socket.
    pub(crate) fn until_up(&mut self) -> io::Result<()> {
        let newest = self.generations.last().map_or(0, Child::id);
        let is_newest = |status: &serde_json::Value| status["processes"][0]["pid"] == newest;
        let start = Instant::now();
        while start.elapsed() < START_TIMEOUT {
            if self.status().is_ok_and(|status| is_newest(&status)) {
                return Ok(());
            }
            if let Some(ended) = self.generations.last_mut().and_then(|process| process.try_wait().transpose()) {
                return Err(io::Error::other(format!("the proxy ended at its start: {}", ended?)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(io::Error::other(format!("the proxy did not answer within {START_TIMEOUT:?}")))
    }

    pub(crate) fn status(&self) -> io::Result<serde_json::Value> {
        let answer = self.admin()?.ask("GET", "admin", "/v1/status", b"")?;
        serde_json::from_slice(&answer.body).map_err(io::Error::other)
    }

    pub(crate) fn admin(&self) -> io::Result<Connection<UnixStream>> {
        Ok(Connection::new(UnixStream::connect(self.socket())?))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("admin.sock")
    }

    pub(crate) fn client(&self) -> io::Result<Connection<TcpStream>> {
        let stream = TcpStream::connect(self.http)?;
        stream.set_nodelay(true)?;
        Ok(Connection::new(stream))
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        self.generations.iter().map(Child::id).collect()
    }

    /// The saved documents on disk, in bytes.
    pub(crate) fn saved_bytes(&self) -> io::Result<u64> {
        fs::read_dir(self.dir.join("state"))?.map(|entry| Ok(entry?.metadata()?.len())).sum()
    }

    fn end(&mut self) {
        for mut process in self.generations.drain(..) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Karman {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// An app of the document. `fields` are further ones, each with a comma before it.
fn app(host: &str, instances: &[SocketAddr], fields: &str) -> String {
    let mut list = String::new();
    for (n, instance) in instances.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(list, r#"{comma}"i{n}":{{"address":"{instance}"}}"#);
    }
    format!(r#"{{"hosts":["{host}"],"instances":{{{list}}}{fields}}}"#)
}

fn spawn(dir: &Path, arguments: &[&str]) -> io::Result<Child> {
    let mut command = Command::new(installed::program(Kind::Karman));
    command.arg("--settings").arg(dir.join("edge.yaml")).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn()
}

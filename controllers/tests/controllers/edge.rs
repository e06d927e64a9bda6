//! A proxy with a store and a publisher, in a folder of their own.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use karman_faults::Scripted;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::program::{KARMAN, Program, Ran, karman, sibling, wait_until};

pub(crate) struct Edge {
    proxy: Option<Program>,
    publisher: Option<Program>,
    /// The programs themselves, where they are not those that were just built.
    pub(crate) proxy_program: Option<PathBuf>,
    pub(crate) publisher_program: Option<PathBuf>,
    /// Removed last, after those who write in it.
    dir: TempDir,
}

impl Edge {
    /// A store with these files, nothing running yet.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("data")).unwrap();
        let settings = json!({
            "edge": {"name": "edge-1", "region": "here"},
            "listen": {"http": ["127.0.0.1:0"]},
            "admin": {"socket": "run/admin.sock"},
            "state": {"dir": "state"},
            "log": {"access": "off"},
            "threads": 1,
            "limits": {"grace_seconds": 0},
        });
        fs::write(dir.path().join("edge.yaml"), settings.to_string()).unwrap();
        let edge = Self { proxy: None, publisher: None, proxy_program: None, publisher_program: None, dir };
        files.iter().for_each(|(name, text)| edge.write(name, text));
        edge
    }

    /// Another name than `edge-1`, before the proxy starts.
    pub(crate) fn rename(&self, name: &str) {
        self.set(|settings| settings["edge"]["name"] = name.into());
    }

    /// Where clients come in, instead of a port that the system chooses.
    pub(crate) fn listen(&self, listen: &Value) {
        self.set(|settings| settings["listen"] = listen.clone());
    }

    /// A limit of the proxy, before it starts.
    pub(crate) fn limit(&self, name: &str, value: u64) {
        self.set(|settings| settings["limits"][name] = value.into());
    }

    fn set(&self, change: impl FnOnce(&mut Value)) {
        let path = self.dir().join("edge.yaml");
        let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut settings);
        fs::write(path, settings.to_string()).unwrap();
    }

    /// The same with everything running and up to date.
    pub(crate) fn running(files: &[(&str, &str)]) -> Self {
        let mut edge = Self::with(files);
        edge.start_proxy();
        edge.start_publisher();
        edge.wait_until_live();
        edge
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("run/admin.sock")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub(crate) fn start_proxy(&mut self) {
        self.proxy = None;
        let _ = fs::remove_file(self.socket());
        let program = self.proxy_program.clone().unwrap_or_else(|| sibling("karman-proxy"));
        self.proxy = Some(Program::start("proxy", &program, self.dir(), ["--settings", "edge.yaml"]));
        wait_until("the proxy answers", || self.try_get("/v1/status").is_some());
    }

    /// A proxy whose state lies on a disk of its own, of 96 KiB.
    pub(crate) fn start_proxy_with_small_disk(&mut self) {
        fs::create_dir_all(self.dir().join("state")).unwrap();
        let mount = "mount -t tmpfs -o size=96k none state && exec \"$0\" --settings edge.yaml";
        let proxy = sibling("karman-proxy").display().to_string();
        let arguments = ["--user", "--map-root-user", "--mount", "sh", "-c", mount, &proxy];
        self.proxy = Some(Program::start("proxy", Path::new("unshare"), self.dir(), arguments));
        wait_until("the proxy answers", || self.try_get("/v1/status").is_some());
    }

    pub(crate) fn kill_proxy(&mut self) {
        self.proxy = None;
    }

    pub(crate) fn start_publisher(&mut self) {
        self.publish_to(&self.socket());
    }

    /// A publisher that reaches the proxy, or what stands in for it, at another socket.
    pub(crate) fn publish_to(&mut self, socket: &Path) {
        self.publisher = None;
        let program = self.publisher_program.clone().unwrap_or_else(|| KARMAN.into());
        let arguments = [OsStr::new("publish"), OsStr::new("--socket"), socket.as_os_str()];
        self.publisher = Some(Program::start("publisher", &program, self.dir(), arguments));
    }

    /// A publisher of this edge's store that keeps these edges at it.
    pub(crate) fn start_publisher_to(&mut self, sockets: &[PathBuf]) {
        self.publisher = None;
        let edges = sockets.iter().flat_map(|socket| ["--edge".to_owned(), socket.display().to_string()]);
        let arguments = ["publish".to_owned()].into_iter().chain(edges);
        self.publisher = Some(Program::start("publisher", Path::new(KARMAN), self.dir(), arguments));
    }

    /// A publisher of another store than the edge's own folder.
    pub(crate) fn start_publisher_on(&mut self, store: &str) {
        self.publisher = None;
        self.publisher = Some(Program::start("publisher", Path::new(KARMAN), self.dir(), ["publish", "--store", store]));
    }

    /// A publisher whose clock is off by `clock`, such as `+1d`.
    pub(crate) fn start_publisher_at(&mut self, clock: &str) {
        self.publisher = None;
        self.publisher = Some(Program::start_at(clock, "publisher", self.dir(), &["publish"]));
    }

    pub(crate) fn kill_publisher(&mut self) {
        self.publisher = None;
    }

    pub(crate) fn publisher(&mut self) -> &mut Program {
        self.publisher.as_mut().expect("the publisher runs")
    }

    pub(crate) fn karman(&self, arguments: &[&str]) -> Ran {
        karman(self.dir(), arguments)
    }

    /// Waits until the publisher says that all is live.
    pub(crate) fn wait_until_live(&self) {
        wait_until("all is live", || self.report()["up_to_date"] == true);
    }

    /// What the publisher says in the store.
    pub(crate) fn report(&self) -> Value {
        let mut reports = fs::read_dir(self.path("status/publish")).into_iter().flatten().flatten();
        // What is not in place yet, nobody else reads either.
        let text = reports.find(|report| !report.file_name().to_string_lossy().starts_with('.'));
        let text = text.and_then(|report| fs::read_to_string(report.path()).ok()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Waits until the mistakes in the store, all together, contain these words.
    pub(crate) fn wait_for_mistake(&self, words: &str) {
        wait_until(&format!("the mistake '{words}' is shown, not {:#}", self.report()), || {
            let mistakes = self.report()["mistakes"].clone();
            mistakes.as_array().into_iter().flatten().any(|mistake| mistake["text"].as_str().unwrap().contains(words))
        });
    }

    pub(crate) fn wait_for_no_mistake(&self) {
        wait_until("no mistake is left", || self.report()["mistakes"] == json!([]));
    }

    /// One value of an app as the proxy has it.
    pub(crate) fn app(&self, id: &str, pointer: &str) -> Value {
        let app = self.try_get(&format!("/v1/apps/{id}")).unwrap_or_default();
        app.pointer(&format!("/app{pointer}")).cloned().unwrap_or(Value::Null)
    }

    pub(crate) fn wait_for_app(&self, id: &str, pointer: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        wait_until(&format!("{id}{pointer} is {wanted}"), || self.app(id, pointer) == wanted);
    }

    /// The ids of the apps that the proxy serves.
    pub(crate) fn apps(&self) -> Vec<String> {
        let apps = self.try_get("/v1/apps").unwrap_or_default();
        apps["apps"].as_object().into_iter().flatten().map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn stamp(&self, document: &str) -> (u64, u64) {
        let document = &self.try_get("/v1/status").unwrap_or_default()["documents"][document];
        (document["epoch"].as_u64().unwrap_or(0), document["generation"].as_u64().unwrap_or(0))
    }

    /// Calls the proxy's admin socket by hand.
    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        call(&self.socket(), method, path, body).expect("the proxy answers")
    }

    pub(crate) fn try_get(&self, path: &str) -> Option<Value> {
        call(&self.socket(), "GET", path, "").map(|(_, body)| body)
    }

    pub(crate) fn listens_on(&self) -> SocketAddr {
        let status = self.try_get("/v1/status").unwrap();
        status["bound"]["http"][0].as_str().unwrap().parse().unwrap()
    }

    /// What a browser gets from the proxy.
    pub(crate) fn page(&self, host: &str) -> Page {
        page(self.listens_on(), host).unwrap()
    }
}

pub(crate) fn call(socket: &Path, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    // An answer may come in chunks: the JSON stands between the sizes.
    let body: String = body.lines().filter(|line| line.starts_with(['{', '['])).collect();
    Some((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) text: String,
}

pub(crate) fn page(address: SocketAddr, host: &str) -> std::io::Result<Page> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET / HTTP/1.1\r\nhost: {host}\r\naccept: text/html\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Page { status, text })
}

/// An app that answers everything with its name, for as long as the test runs.
pub(crate) fn backend(name: &'static str) -> SocketAddr {
    let app = Scripted::start(move |_, mut stream, seen| async move {
        if seen.read(&mut stream).await {
            let length = name.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{name}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    // Nobody holds it: it ends with the process.
    ManuallyDrop::new(app).address
}

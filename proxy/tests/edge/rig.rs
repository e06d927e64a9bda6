//! Starts proxies and apps, and speaks to them as clients, operators and publishers do.

#[path = "rig/books.rs"]
mod books;
#[path = "rig/load.rs"]
mod load;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

pub use load::Load;

/// How long anything may take that should happen at once; the machine may be busy.
pub const SOON: Duration = Duration::from_secs(20);

pub const HOST: &str = "todos.example.com";

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < SOON, "waited {SOON:?} until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A running proxy with its own folder. Ends with the test.
pub struct Edge {
    pub dir: tempfile::TempDir,
    pub process: Child,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub probe: SocketAddr,
    /// One process has counted all that happened.
    has_own_books: bool,
}

impl Edge {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// `settings` are further lines of the settings file.
    pub async fn start_with(settings: &str) -> Self {
        Self::start_as("listen: {http: [\"127.0.0.1:0\"], https: [\"127.0.0.1:0\"]}", settings).await
    }

    /// `listen` is the line of the settings file that says where clients come in.
    pub async fn start_as(listen: &str, settings: &str) -> Self {
        Self::start_in("local", listen, settings).await
    }

    pub async fn start_in(region: &str, listen: &str, settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().display();
        let text = format!(
            "edge: {{name: edge-1, region: {region}}}\n{listen}\nadmin: {{socket: {folder}/admin.sock}}\n\
             probe: {{address: \"127.0.0.1:0\"}}\nstate: {{dir: {folder}/state}}\nlog: {{access: {folder}/access.log}}\n{settings}\n"
        );
        std::fs::write(dir.path().join("edge.yaml"), text).unwrap();
        let unbound = SocketAddr::from(([127, 0, 0, 1], 0));
        let process = spawn(&dir.path().join("edge.yaml"), &[]);
        let mut edge = Self { dir, process, http: unbound, https: unbound, probe: unbound, has_own_books: true };
        edge.until_up().await;
        edge
    }

    /// Starts the proxy anew on what is on disk.
    pub async fn restart(&mut self) {
        self.has_own_books = false;
        self.process = spawn(&self.dir.path().join("edge.yaml"), &[]);
        self.until_up().await;
    }

    /// Starts a second process that takes over; returns the first.
    pub async fn upgrade(&mut self) -> Child {
        let next = spawn(&self.dir.path().join("edge.yaml"), &["--upgrade"]);
        let pid = next.id();
        let previous = std::mem::replace(&mut self.process, next);
        until("the next process answers at the admin socket", async || {
            self.try_admin("GET", "/v1/status", "").await.is_some_and(|answer| answer.json()["processes"][0]["pid"] == pid)
        })
        .await;
        previous
    }

    pub async fn until_up(&mut self) {
        let pid = self.process.id();
        until("the proxy answers at its admin socket", async || {
            self.try_admin("GET", "/v1/status", "").await.is_some_and(|answer| answer.json()["processes"][0]["pid"] == pid)
        })
        .await;
        let status = self.admin("GET", "/v1/status", "").await.json();
        self.http = status["bound"]["http"][0].as_str().unwrap().parse().unwrap();
        // Not every test asks for it.
        self.https = status["bound"]["https"][0].as_str().map_or(self.https, |address| address.parse().unwrap());
        self.probe = status["bound"]["probe"].as_str().unwrap().parse().unwrap();
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// The lines of a request in the access log, once there are `count` of them.
    pub async fn lines_of(&self, request_id: &str, count: usize) -> Vec<Value> {
        let mut lines = Vec::new();
        until("the access log has the request's lines", async || {
            lines = self.log().into_iter().filter(|line| line["request_id"] == request_id).collect();
            lines.len() >= count
        })
        .await;
        lines
    }

    pub async fn admin(&self, method: &str, path: &str, body: &str) -> Answer {
        self.try_admin(method, path, body).await.expect("the admin socket answers")
    }

    async fn try_admin(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let stream = UnixStream::connect(self.socket()).await.ok()?;
        let length = body.len();
        exchange(
            stream,
            &format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"),
        )
        .await
    }

    /// Puts one app, `todos`, at these instances.
    pub async fn put_todos(&self, instances: &[(&str, SocketAddr)]) {
        self.put_app(&instances_json(instances), "").await;
    }

    /// Puts these certificates: each an id, and what [`Authority::issue`](crate::authority::Authority::issue) gives.
    pub async fn put_certificates(&self, certificates: &[(&str, Value)]) -> Answer {
        let certificates: serde_json::Map<_, _> =
            certificates.iter().map(|(id, item)| ((*id).to_owned(), item.clone())).collect();
        let generation = self.generation_of("certificates").await + 1;
        let body = serde_json::json!({"generation": generation, "certificates": certificates, "force": true});
        self.admin("PUT", "/v1/certificates", &body.to_string()).await
    }

    /// `more` are further fields of the app, each with a comma before it.
    pub async fn put_app(&self, instances: &str, more: &str) {
        let generation = self.generation().await + 1;
        let app = format!(r#"{{"hosts":["{HOST}","todos.localhost"],"instances":{instances}{more}}}"#);
        let answer = self.admin("PUT", "/v1/apps", &format!(r#"{{"generation":{generation},"apps":{{"todos":{app}}}}}"#)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub async fn generation(&self) -> u64 {
        self.generation_of("apps").await
    }

    pub async fn generation_of(&self, document: &str) -> u64 {
        self.admin("GET", "/v1/status", "").await.json()["documents"][document]["generation"].as_u64().unwrap_or(0)
    }

    /// What is live about an instance of `todos`.
    pub async fn instance(&self, id: &str) -> Value {
        self.admin("GET", "/v1/apps/todos", "").await.json()["instances"][id].clone()
    }

    pub async fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n{headers}\r\n")).await
    }

    pub async fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    /// Sends bytes as they are, and reads one answer.
    pub async fn ask(&self, request: &str) -> Answer {
        self.try_ask(request).await.expect("an answer")
    }

    pub async fn try_ask(&self, request: &str) -> Option<Answer> {
        exchange(TcpStream::connect(self.http).await.ok()?, request).await
    }

    pub async fn probe(&self, path: &str) -> Answer {
        let stream = TcpStream::connect(self.probe).await.unwrap();
        exchange(stream, &format!("GET {path} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n"))
            .await
            .expect("the probe answers")
    }

    /// Opens a WebSocket. `headers` are `name: value` pairs.
    pub async fn socket_at(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Ws, Answer> {
        let stream = TcpStream::connect(self.http).await.unwrap();
        let mut request = format!("ws://{HOST}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, answer)) => {
                let headers =
                    answer.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
                Ok(Ws { socket, head: Answer { status: 101, headers, body: Vec::new() } })
            }
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                let headers =
                    answer.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
                Err(Answer { status: answer.status().as_u16(), headers, body: answer.body().clone().unwrap_or_default() })
            }
            Err(e) => panic!("the upgrade broke: {e}"),
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if self.has_own_books && !std::thread::panicking() {
            books::check(self);
        }
        end(&mut self.process);
    }
}

/// A WebSocket through the edge, and the head of its 101.
pub struct Ws {
    pub socket: WebSocketStream<TcpStream>,
    pub head: Answer,
}

pub fn spawn(settings: &Path, arguments: &[&str]) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(settings.with_extension("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_karman-proxy"))
        .arg("--settings")
        .arg(settings)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

pub fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

pub fn signal(process: &Child, signal: &str) {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(process.id().to_string()).status().unwrap();
    assert!(sent.success());
}

/// Starts a server that says on its first line where it listens.
fn listening(mut command: Command) -> (Child, SocketAddr) {
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit_once("http://").unwrap_or_else(|| panic!("{command:?} said {line:?}")).1.parse().unwrap();
    (process, address)
}

/// An app in Node. Ends with the test.
pub struct Node {
    process: Child,
    pub address: SocketAddr,
}

impl Node {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new("node");
        command.current_dir(folder).args(arguments);
        let (process, address) = listening(command);
        Self { process, address }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// The sample app, one instance of it. Ends with the test.
pub struct App {
    process: Child,
    pub address: SocketAddr,
    pub name: String,
}

impl App {
    pub fn start(name: &str) -> Self {
        Self::start_at(name, "127.0.0.1:0".parse().unwrap())
    }

    /// An instance that shares its list of todos, through the file, with others.
    pub fn start_sharing(name: &str, data: &Path) -> Self {
        Self::spawn(name, "127.0.0.1:0".parse().unwrap(), &["--data", data.to_str().unwrap()])
    }

    pub fn start_at(name: &str, address: SocketAddr) -> Self {
        Self::spawn(name, address, &[])
    }

    fn spawn(name: &str, address: SocketAddr, more: &[&str]) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_karman-proxy")).with_file_name("karman-sample");
        assert!(binary.exists(), "{} is missing: 'make test' builds it, or 'cargo build -p karman-bench'", binary.display());
        let mut command = Command::new(binary);
        command.args(["--listen", &address.to_string(), "--instance", name]).args(more);
        let (process, address) = listening(command);
        Self { process, address, name: name.to_owned() }
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        end(&mut self.process);
    }

    /// The same instance at the same address again.
    pub fn start_again(&mut self) {
        *self = Self::start_at(&self.name.clone(), self.address);
    }
}

impl Drop for App {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

pub fn instances_json(instances: &[(&str, SocketAddr)]) -> String {
    let list: Vec<_> = instances.iter().map(|(id, address)| format!(r#""{id}":{{"address":"{address}"}}"#)).collect();
    format!("{{{}}}", list.join(","))
}

/// An HTTP answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn code(&self) -> &str {
        self.header("x-karman-error").unwrap_or_default()
    }

    /// The sticky cookie as a client sends it back.
    pub fn cookie(&self) -> Option<String> {
        self.header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(str::to_owned)
    }
}

/// Sends a request and reads the answer up to the end of the connection, within a bound.
pub async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Option<Answer> {
    let mut received = Vec::new();
    let talk = async {
        stream.write_all(request.as_bytes()).await.ok()?;
        stream.read_to_end(&mut received).await.ok()
    };
    // A reset after the answer is still an answer.
    let _ = tokio::time::timeout(Duration::from_secs(60), talk).await.expect("the connection ends");
    parse(&received)
}

pub fn parse(received: &[u8]) -> Option<Answer> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: received[end + 4..].to_vec() };
    if answer.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        answer.body = dechunk(&answer.body)?;
    }
    Some(answer)
}

/// `None` if the body was cut off.
fn dechunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?, 16).ok()?;
        body = &body[end + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(body.get(..size)?);
        body = body.get(size + 2..)?;
    }
}

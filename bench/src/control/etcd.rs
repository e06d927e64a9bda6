//! Debian's etcd, with one member, spoken to through its JSON gateway.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::http::Connection;

const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Where the store stands in etcd.
const PREFIX: &str = "/karman";
/// etcd takes no more operations in one transaction than 128.
const PUTS_A_CALL: usize = 100;

#[derive(Debug)]
pub(crate) struct Etcd {
    process: Child,
    dir: PathBuf,
    address: SocketAddr,
    /// Kept from one call to the next.
    connection: Mutex<Option<Connection<TcpStream>>>,
}

impl Etcd {
    pub(super) fn start() -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("karman-bench-etcd-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let (clients, peers) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        let (address, peer) = (clients.local_addr()?, peers.local_addr()?);
        drop((clients, peers));
        let (client, peer) = (format!("http://{address}"), format!("http://{peer}"));
        let mut command = Command::new("etcd");
        command.args(["--name", "lab", "--data-dir"]).arg(dir.join("data"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
        command.args([
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &format!("lab={peer}"),
            "--log-level",
            "error",
        ]);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process =
            process.map_err(|e| io::Error::new(e.kind(), format!("etcd cannot be started (Debian's etcd-server): {e}")))?;
        let etcd = Self { process, dir, address, connection: Mutex::default() };
        let start = Instant::now();
        while etcd.call("/v3/kv/range", r#"{"key":"AA=="}"#).is_err() {
            if start.elapsed() > START_TIMEOUT {
                return Err(io::Error::other(format!("etcd did not answer within {START_TIMEOUT:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(etcd)
    }

    pub(super) fn place(&self) -> String {
        format!("etcd://{}{PREFIX}", self.address)
    }

    pub(super) fn put(&self, id: &str, text: &str) -> io::Result<()> {
        self.call("/v3/kv/put", &put(id, text))
    }

    pub(super) fn fill(&self, mut apps: impl Iterator<Item = (String, String)>) -> io::Result<()> {
        loop {
            let mut puts = String::new();
            for (id, text) in apps.by_ref().take(PUTS_A_CALL) {
                let comma = if puts.is_empty() { "" } else { "," };
                let _ = write!(puts, r#"{comma}{{"requestPut":{}}}"#, put(&id, &text));
            }
            if puts.is_empty() {
                return Ok(());
            }
            self.call("/v3/kv/txn", &format!(r#"{{"success":[{puts}]}}"#))?;
        }
    }

    fn call(&self, path: &str, body: &str) -> io::Result<()> {
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match kept.take().filter(|kept| !kept.is_over()) {
            Some(kept) => kept,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                Connection::new(stream)
            }
        };
        let answer = connection.ask("POST", "etcd", path, body.as_bytes())?;
        *kept = Some(connection);
        if answer.status == 200 { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&answer.body).into_owned())) }
    }
}

fn put(id: &str, text: &str) -> String {
    format!(r#"{{"key":"{}","value":"{}"}}"#, BASE64.encode(format!("{PREFIX}/apps/{id}")), BASE64.encode(text))
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

//! A proxy of the lab's own: the binary beside this one, in a folder that ends with the run.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::Connection;

/// How long a proxy may take to answer at its admin socket.
const START_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Proxy {
    dir: PathBuf,
    process: Child,
    pub(crate) http: SocketAddr,
}

impl Proxy {
    /// Starts a proxy with no tables.
    pub(crate) fn start() -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("karman-bench-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        // A fixed port, found free once: a restart must come back where clients ask for it.
        let http = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = dir.display();
        let settings = format!(
            "listen: {{http: [\"{http}\"]}}\nadmin: {{socket: {folder}/admin.sock}}\nstate: {{dir: {folder}/state}}\nlog: {{access: \"off\", level: warn}}\n"
        );
        fs::write(dir.join("edge.yaml"), settings)?;
        let process = spawn(&dir)?;
        let proxy = Self { dir, process, http };
        proxy.until_up()?;
        Ok(proxy)
    }

    /// Kills the proxy and starts it on what is on disk; returns at once.
    pub(crate) fn kill_and_start(&mut self) -> io::Result<Instant> {
        self.process.kill()?;
        self.process.wait()?;
        let start = Instant::now();
        self.process = spawn(&self.dir)?;
        Ok(start)
    }

    pub(crate) fn until_up(&self) -> io::Result<()> {
        let start = Instant::now();
        while start.elapsed() < START_TIMEOUT {
            if self.admin().and_then(|mut admin| admin.ask("GET", "admin", "/v1/status", b"")).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(io::Error::other(format!("the proxy did not answer within {START_TIMEOUT:?}")))
    }

    pub(crate) fn admin(&self) -> io::Result<Connection<UnixStream>> {
        Ok(Connection::new(UnixStream::connect(self.dir.join("admin.sock"))?))
    }

    pub(crate) fn client(&self) -> io::Result<Connection<TcpStream>> {
        let stream = TcpStream::connect(self.http)?;
        stream.set_nodelay(true)?;
        Ok(Connection::new(stream))
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The saved documents on disk, in bytes.
    pub(crate) fn saved_bytes(&self) -> io::Result<u64> {
        fs::read_dir(self.dir.join("state"))?.map(|entry| Ok(entry?.metadata()?.len())).sum()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn spawn(dir: &std::path::Path) -> io::Result<Child> {
    let binary = std::env::current_exe()?.with_file_name("karman-proxy");
    if !binary.exists() {
        return Err(io::Error::other(format!("{} is missing: 'make bench' builds it", binary.display())));
    }
    Command::new(binary).arg("--settings").arg(dir.join("edge.yaml")).stdin(Stdio::null()).stdout(Stdio::null()).spawn()
}

//! The sample app beside this binary, as the backend of a scenario.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::contender::beside;
use crate::http::Connection;

/// One instance of the app. It ends with this value.
#[derive(Debug)]
pub(crate) struct Sample {
    process: Child,
    name: String,
    pub(crate) address: SocketAddr,
}

impl Sample {
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        Self::start_at(name, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn start_at(name: &str, address: SocketAddr) -> io::Result<Self> {
        let mut process = Command::new(beside("karman-sample"))
            .args(["--listen", &address.to_string(), "--instance", name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().rsplit_once("http://").and_then(|(_, address)| address.parse().ok());
        let address = address.ok_or_else(|| io::Error::other(format!("the sample app said {line:?}")))?;
        Ok(Self { process, name: name.to_owned(), address })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Connections that it accepted so far, this question's own included.
    pub(crate) fn connections(&self) -> io::Result<u64> {
        let answer = Connection::new(TcpStream::connect(self.address)?).ask("GET", "app", "/api/connections", b"")?;
        String::from_utf8_lossy(&answer.body).parse().map_err(io::Error::other)
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// The same instance at the same address again.
    pub(crate) fn start_again(&mut self) -> io::Result<()> {
        *self = Self::start_at(&self.name.clone(), self.address)?;
        Ok(())
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

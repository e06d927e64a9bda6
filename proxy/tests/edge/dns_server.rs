//! A real DNS server, Debian's knot, with one zone of its own; and as much of a resolver as a client needs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::rig::{end, until};

pub struct DnsServer {
    process: Child,
    address: SocketAddr,
    zone: &'static str,
    /// The server takes one change at a time.
    changing: Mutex<()>,
    dir: tempfile::TempDir,
}

impl DnsServer {
    /// Serves an empty zone at a free port.
    pub async fn start(zone: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().display().to_string();
        // Free for UDP a moment ago: knot has no way to tell which port it was given.
        let address = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let conf = format!(
            "server:\n  listen: 127.0.0.1@{port}\n  rundir: {folder}\n  pidfile: {folder}/knot.pid\n\
             control:\n  listen: {folder}/knot.sock\ndatabase:\n  storage: {folder}/db\n\
             log:\n  - target: {folder}/knot.log\n    any: info\n\
             zone:\n  - domain: {zone}\n    storage: {folder}\n    file: zone\n",
            port = address.port()
        );
        std::fs::write(dir.path().join("knot.conf"), conf).unwrap();
        let text = format!("$ORIGIN {zone}.\n@ 0 SOA ns.{zone}. admin.{zone}. 1 60 60 60 0\n@ 0 NS ns\nns 0 A 127.0.0.1\n");
        std::fs::write(dir.path().join("zone"), text).unwrap();
        let process = Command::new(knot("knotd"))
            .arg("-c")
            .arg(dir.path().join("knot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, address, zone, changing: Mutex::default(), dir };
        until("the DNS server answers", async || !server.addresses(&format!("ns.{zone}")).await.is_empty()).await;
        server
    }

    /// Adds or removes an address of a host.
    pub fn set(&self, host: &str, address: Ipv4Addr, present: bool) {
        let address = address.to_string();
        let _one = self.changing.lock().unwrap();
        self.control(&["zone-begin", self.zone]);
        match present {
            true => self.control(&["zone-set", self.zone, &format!("{host}."), "0", "A", &address]),
            false => self.control(&["zone-unset", self.zone, &format!("{host}."), "A", &address]),
        }
        self.control(&["zone-commit", self.zone]);
    }

    fn control(&self, arguments: &[&str]) {
        let mut command = Command::new(knot("knotc"));
        let ran = command.arg("-c").arg(self.dir.path().join("knot.conf")).args(arguments).output().unwrap();
        assert!(
            ran.status.success(),
            "{arguments:?}: {}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
    }

    /// Asks for the addresses of a host, as RFC 1035 has it; none if there is no answer.
    pub async fn addresses(&self, host: &str) -> Vec<Ipv4Addr> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.address).await.unwrap();
        let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in host.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend_from_slice(label.as_bytes());
        }
        query.extend_from_slice(&[0, 0, 1, 0, 1]);
        let mut answer = [0; 1_232];
        let asked = async {
            socket.send(&query).await.ok()?;
            socket.recv(&mut answer).await.ok()
        };
        let Ok(Some(length)) = tokio::time::timeout(Duration::from_secs(2), asked).await else { return Vec::new() };
        let count = usize::from(u16::from_be_bytes([answer[6], answer[7]]));
        // Knot compresses the name of each record to a pointer: 2 bytes, then type, class, TTL, length and 4 bytes.
        let records = answer[query.len()..length].chunks_exact(16).take(count);
        records.map(|record| Ipv4Addr::new(record[12], record[13], record[14], record[15])).collect()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Daemons are not in everybody's path.
fn knot(program: &str) -> PathBuf {
    let found =
        [format!("/usr/sbin/{program}"), format!("/usr/bin/{program}")].into_iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{program} is missing: 'make test-tools' installs it"))
}

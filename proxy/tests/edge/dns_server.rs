//! A real DNS server, Debian's knot, with one zone of its own; and as much of a resolver as a client needs.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use crate::rig::end;

/// Somebody else may take the port in between; then another one is tried.
const STARTS_MAX: usize = 4;
const START_TIME_MAX: Duration = Duration::from_secs(10);

pub struct DnsServer {
    process: Child,
    address: SocketAddr,
    zone: &'static str,
    contents: Mutex<Contents>,
    dir: tempfile::TempDir,
}

struct Contents {
    serial: u32,
    records: BTreeSet<String>,
}

fn zone_text(zone: &str, serial: u32, records: &BTreeSet<String>) -> String {
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    format!(
        "$ORIGIN {zone}.\n@ 0 SOA ns.{zone}. admin.{zone}. {serial} 60 60 60 0\n@ 0 NS ns\nns 0 A 127.0.0.1\n{}\n",
        records.join("\n")
    )
}

impl DnsServer {
    /// Serves an empty zone at a free port.
    pub async fn start(zone: &'static str) -> Self {
        for _ in 0..STARTS_MAX {
            let mut server = Self::try_start(zone);
            if server.answers(&format!("ns.{zone}")).await {
                return server;
            }
            eprint!("{}", std::fs::read_to_string(server.dir.path().join("knot.log")).unwrap_or_default());
        }
        panic!("the DNS server does not answer, started {STARTS_MAX} times");
    }

    fn try_start(zone: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().display().to_string();
        let address = free_address();
        let conf = format!(
            "server:\n  listen: 127.0.0.1@{port}\n  rundir: {folder}\n  pidfile: {folder}/knot.pid\n\
             control:\n  listen: {folder}/knot.sock\ndatabase:\n  storage: {folder}/db\n\
             log:\n  - target: {folder}/knot.log\n    any: info\n\
             zone:\n  - domain: {zone}\n    storage: {folder}\n    file: zone\n",
            port = address.port()
        );
        std::fs::write(dir.path().join("knot.conf"), conf).unwrap();
        std::fs::write(dir.path().join("zone"), zone_text(zone, 1, &BTreeSet::new())).unwrap();
        let process = Command::new(knot("knotd"))
            .arg("-c")
            .arg(dir.path().join("knot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, address, zone, contents: Mutex::new(Contents { serial: 1, records: BTreeSet::new() }), dir }
    }

    /// Waits until it answers; `false` if it ended, or never does.
    async fn answers(&mut self, host: &str) -> bool {
        let deadline = Instant::now() + START_TIME_MAX;
        while Instant::now() < deadline && self.process.try_wait().unwrap().is_none() {
            if !self.addresses(host).await.is_empty() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Adds or removes an address of a host, and waits until the server has it.
    pub fn set(&self, host: &str, address: Ipv4Addr, present: bool) {
        let mut contents = self.contents.lock().unwrap();
        let Contents { serial, records } = &mut *contents;
        let record = format!("{host}. 0 A {address}");
        if present {
            records.insert(record)
        } else {
            records.remove(&record)
        };
        *serial += 1;
        std::fs::write(self.dir.path().join("zone"), zone_text(self.zone, *serial, records)).unwrap();
        let mut command = Command::new(knot("knotc"));
        let ran =
            command.arg("-b").arg("-c").arg(self.dir.path().join("knot.conf")).args(["zone-reload", self.zone]).output().unwrap();
        assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
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

/// Free for TCP and UDP a moment ago: knot wants both, and has no way to tell which port it was given.
fn free_address() -> SocketAddr {
    loop {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if std::net::UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// Daemons are not in everybody's path.
fn knot(program: &str) -> PathBuf {
    let found =
        [format!("/usr/sbin/{program}"), format!("/usr/bin/{program}")].into_iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{program} is missing: 'make test-tools' installs it"))
}

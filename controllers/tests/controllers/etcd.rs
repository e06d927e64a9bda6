//! Real etcd, from Debian: each member at an address of its own in 127/8, in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::program::{Program, wait_until};

/// A cluster of one member or more.
pub(crate) struct Etcd {
    members: Vec<Member>,
    dir: TempDir,
}

struct Member {
    program: Option<Program>,
    arguments: Vec<String>,
    address: String,
}

/// Ports are fixed and addresses are not: no other process of this machine can have the same one.
fn own_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    assert!(n < 255, "that is a lot of members for one test");
    format!("127.{}.{}.{n}", 64 + (pid >> 8) % 128, pid % 256)
}

impl Etcd {
    pub(crate) fn start() -> Self {
        Self::cluster(1)
    }

    pub(crate) fn cluster(members: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses: Vec<_> = (0..members).map(|_| own_address()).collect();
        let peers: Vec<_> = addresses.iter().enumerate().map(|(n, address)| format!("m{n}=http://{address}:2380")).collect();
        let member = |(n, address): (usize, &String)| {
            let arguments = [
                ("name", format!("m{n}")),
                ("data-dir", format!("m{n}")),
                ("listen-client-urls", format!("http://{address}:2379")),
                ("advertise-client-urls", format!("http://{address}:2379")),
                ("listen-peer-urls", format!("http://{address}:2380")),
                ("initial-advertise-peer-urls", format!("http://{address}:2380")),
                ("initial-cluster", peers.join(",")),
            ];
            let arguments = arguments.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect();
            Member { program: None, arguments, address: address.clone() }
        };
        let members = addresses.iter().enumerate().map(member).collect();
        let mut etcd = Self { members, dir };
        (0..etcd.members.len()).for_each(|n| etcd.start_member(n));
        etcd.wait_until_well();
        etcd
    }

    /// What `--store` is told.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.members.iter().map(|member| format!("{}:2379", member.address)).collect();
        format!("etcd://{}/test", hosts.join(","))
    }

    pub(crate) fn start_member(&mut self, n: usize) {
        let member = &mut self.members[n];
        let program = Program::start(&format!("etcd-{n}"), Path::new("etcd"), self.dir.path(), &member.arguments);
        member.program = Some(program);
    }

    pub(crate) fn kill_member(&mut self, n: usize) {
        self.members[n].program = None;
    }

    pub(crate) fn pid(&self, n: usize) -> u32 {
        self.members[n].program.as_ref().expect("it runs").pid()
    }

    /// Where a member is asked.
    pub(crate) fn address(&self, n: usize) -> String {
        format!("{}:2379", self.members[n].address)
    }

    /// Loses the data of a member that does not run.
    pub(crate) fn forget_data(&self, n: usize) {
        fs::remove_dir_all(self.data(n)).unwrap();
    }

    /// Keeps a copy of the data of a member that does not run.
    pub(crate) fn keep_data(&self, n: usize) {
        self.copy(&self.data(n), &self.data(n).with_extension("kept"));
    }

    pub(crate) fn put_back_data(&self, n: usize) {
        self.forget_data(n);
        self.copy(&self.data(n).with_extension("kept"), &self.data(n));
    }

    fn copy(&self, from: &Path, to: &Path) {
        let copied = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
        assert!(copied.success());
    }

    fn data(&self, n: usize) -> PathBuf {
        self.dir.path().join(format!("m{n}"))
    }

    /// The member that leads.
    pub(crate) fn leader(&self) -> usize {
        let leads = |member: &Member| {
            let status = http(&member.address, "POST", "/v3/maintenance/status", "{}")?;
            let status: serde_json::Value = serde_json::from_str(&status).ok()?;
            Some(status["leader"] == status["header"]["member_id"])
        };
        self.members.iter().position(|member| leads(member) == Some(true)).expect("one leads")
    }

    /// Waits until every member that runs has a leader.
    pub(crate) fn wait_until_well(&self) {
        for member in self.members.iter().filter(|member| member.program.is_some()) {
            wait_until("etcd has a leader", || {
                http(&member.address, "GET", "/health", "").is_some_and(|answer| answer.contains(r#""true""#))
            });
        }
    }

    /// Calls the gateway of etcd's API.
    pub(crate) fn call(&self, path: &str, body: &str) -> serde_json::Value {
        let answer = http(&self.members[0].address, "POST", path, body).expect("etcd answers");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error} in {answer}"))
    }

    /// Forgets all revisions before the present one.
    pub(crate) fn compact(&self) {
        let status = self.call("/v3/kv/range", r#"{"key":"AA=="}"#);
        let revision = status["header"]["revision"].as_str().unwrap();
        self.call("/v3/kv/compaction", &format!(r#"{{"revision":"{revision}","physical":true}}"#));
    }
}

fn http(host: &str, method: &str, path: &str, body: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let address = format!("{host}:2379").parse().unwrap();
    let mut stream = std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

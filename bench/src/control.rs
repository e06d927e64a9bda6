//! The control plane as the lab runs it: a store of either kind, and `karman publish` between it and a proxy.

mod etcd;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::contender::{Karman, beside};
use etcd::Etcd;
use rustix::process::{Pid, Signal, kill_process};

/// A store that ends with the run.
#[derive(Debug)]
pub(crate) enum Store {
    Directory(PathBuf),
    Etcd(Etcd),
}

/// A publisher between a store and a proxy on this machine. It ends with this value.
#[derive(Debug)]
pub(crate) struct Publisher(Child);

impl Store {
    pub(crate) fn directory() -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("karman-bench-store-{}", std::process::id()));
        fs::create_dir_all(dir.join("apps"))?;
        Ok(Self::Directory(dir))
    }

    /// One member, from Debian, at ports that were free a moment ago.
    pub(crate) fn etcd() -> io::Result<Self> {
        Etcd::start().map(Self::Etcd)
    }

    /// What `--store` is told.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Directory(dir) => dir.display().to_string(),
            Self::Etcd(etcd) => etcd.place(),
        }
    }

    /// Writes many apps that nobody waits for, as (id, text).
    pub(crate) fn fill(&self, apps: impl Iterator<Item = (String, String)>) -> io::Result<()> {
        match self {
            Self::Directory(dir) => apps.into_iter().try_for_each(|(id, text)| fs::write(file(dir, &id), text)),
            Self::Etcd(etcd) => etcd.fill(apps),
        }
    }

    /// Writes one app as whoever is careful does: a file beside it that takes its place, or a put that is answered.
    pub(crate) fn write(&self, id: &str, text: &str) -> io::Result<()> {
        match self {
            Self::Directory(dir) => {
                let beside = dir.join(format!("apps/.{id}.new"));
                fs::write(&beside, text)?;
                fs::rename(beside, file(dir, id))
            }
            Self::Etcd(etcd) => etcd.put(id, text),
        }
    }
}

fn file(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("apps/{id}.yaml"))
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Self::Directory(dir) = self {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

impl Publisher {
    pub(crate) fn start(store: &Store, karman: &Karman) -> io::Result<Self> {
        let mut command = Command::new(beside("karman"));
        command.args(["publish", "--store", &store.place(), "--socket"]).arg(karman.socket());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self)
    }

    /// Stands still until [`Self::resume`], while its store goes on.
    pub(crate) fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    pub(crate) fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

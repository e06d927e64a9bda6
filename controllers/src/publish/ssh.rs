//! Reaching the admin socket of an edge on another machine, over ssh's own forwarding.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::target::Target;
use crate::up::child::Child;

/// How long ssh may take to be there, when somebody waits for it.
const UP_WITHIN: Duration = Duration::from_secs(10);
const AGAIN_MIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(15);

/// A socket on this machine behind which that of the edge is, for as long as this lives.
pub struct Forward {
    /// Only its owner can look into it.
    folder: TempDir,
    ssh: JoinHandle<()>,
}

impl Forward {
    pub fn to(target: &Target) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("karman-").tempdir()?;
        let socket = folder.path().join(SOCKET);
        let ssh = tokio::spawn(keep(arguments(target, &socket), socket, target.to_string()));
        Ok(Self { folder, ssh })
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// Waits until something listens at the socket, or for as long as is bearable.
    pub async fn wait_until_up(&self) {
        let deadline = Instant::now() + UP_WITHIN;
        while UnixStream::connect(self.socket()).await.is_err() && Instant::now() < deadline {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

const SOCKET: &str = "admin.sock";

/// Keeps ssh running. Which keys and hosts it trusts is a matter of its own files.
async fn keep(arguments: Vec<OsString>, socket: PathBuf, target: String) {
    let mut again = AGAIN_MIN;
    loop {
        // What an ssh before it left behind.
        let _ = std::fs::remove_file(&socket);
        let started = Instant::now();
        match ssh(&arguments).await {
            Ok(status) => warn!("ssh to {target} ended ({status}); it is started again"),
            Err(error) => warn!("ssh to {target} cannot be started: {error}"),
        }
        again = if started.elapsed() > AGAIN_MAX { AGAIN_MIN } else { (again * 2).min(AGAIN_MAX) };
        sleep(again).await;
    }
}

/// Runs ssh to its end, which is ours at the latest, also that of a kill -9.
async fn ssh(arguments: &[OsString]) -> io::Result<ExitStatus> {
    let mut command = Child::command();
    command.arg("ssh").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).status().await
}

fn arguments(target: &Target, socket: &std::path::Path) -> Vec<OsString> {
    let Target::Ssh { destination, port, socket: theirs } = target else { return Vec::new() };
    // No shell there, no question asked, and no word from the other side for 15 s is an end.
    let mut arguments: Vec<OsString> = [
        "-N",
        "-T",
        "-o",
        "BatchMode=yes",
        "-o",
        "ExitOnForwardFailure=yes",
        "-o",
        "ServerAliveInterval=5",
        "-o",
        "ServerAliveCountMax=3",
        "-o",
        "ConnectTimeout=10",
        "-o",
        "StreamLocalBindMask=0177",
    ]
    .map(OsString::from)
    .to_vec();
    if let Some(port) = port {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    let mut forward = socket.as_os_str().to_owned();
    forward.push(":");
    forward.push(theirs);
    arguments.extend(["-L".into(), forward, destination.into()]);
    arguments
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.ssh.abort();
    }
}

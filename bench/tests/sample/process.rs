//! A sample app that runs for as long as a test holds it.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// No wait of a test is longer.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) struct Sample {
    child: Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
}

impl Sample {
    pub(crate) async fn start() -> Self {
        Self::start_with(&["--instance", "sample-1-a"]).await
    }

    /// An instance of an app whose instances share `data`.
    pub(crate) async fn sharing(data: &Path, instance: &str) -> Self {
        Self::start_with(&["--instance", instance, "--data", data.to_str().unwrap()]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let mut child = command().args(["--listen", "127.0.0.1:0"]).args(arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line =
            timeout(BOUND, lines.next_line()).await.expect("it starts in time").unwrap().expect("it says where it listens");
        let address = line.strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, address }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) async fn stop(mut self, signal: Signal) -> ExitStatus {
        let pid = Pid::from_raw(self.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
        timeout(BOUND, self.child.wait()).await.expect("it stops in time").unwrap()
    }
}

/// Dropped with its test, killed with its handle.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_karman-sample"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Fails a test that would otherwise wait for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(BOUND, what).await.expect("it happens in time")
}

//! A provider that is a program of the operator's: `PROGRAM [ARGUMENT...] present|wait|remove NAME VALUE`.
//!
//! It ends with 0 when it is done; what it says on standard error goes into the message otherwise.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Provider, Txt};
use crate::failure::{Exit, Failure};

/// DNS can be slow to follow; longer than this it is broken.
const DONE_WITHIN: Duration = Duration::from_secs(300);
/// How much of what a program said is repeated.
const SAID_BYTES_MAX: usize = 500;

#[derive(Clone, Debug)]
pub struct Hook {
    command: Vec<String>,
}

impl Hook {
    pub fn new(command: Vec<String>) -> Self {
        Self { command }
    }

    async fn run(&self, verb: &str, txt: &Txt) -> Result<(), Failure> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::usage("'certificates.dns.hook' names no program"));
        };
        let failed = |why: String| Failure::new(Exit::Unavailable, format!("{program} {verb} {}: {why}", txt.name));
        let mut command = Command::new(program);
        command.args(arguments).arg(verb).arg(&txt.name).arg(&txt.value);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = match timeout(DONE_WITHIN, command.output()).await {
            Ok(output) => output.map_err(|error| failed(error.to_string()))?,
            Err(_) => return Err(failed(format!("not done within {} s", DONE_WITHIN.as_secs()))),
        };
        if output.status.success() {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(SAID_BYTES_MAX).collect();
        Err(failed(format!("{}: {said}", output.status)))
    }
}

#[async_trait]
impl Provider for Hook {
    async fn present(&self, txt: &Txt) -> Result<(), Failure> {
        self.run("present", txt).await
    }

    async fn wait(&self, txt: &Txt) -> Result<(), Failure> {
        self.run("wait", txt).await
    }

    async fn clean_up(&self, txt: &Txt) -> Result<(), Failure> {
        self.run("remove", txt).await
    }
}

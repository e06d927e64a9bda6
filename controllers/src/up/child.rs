//! The children of `karman up`: started so that none outlives it, and started again when they die.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{self, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::{Exit, Failure};

/// The command line of a child before it becomes what it is to be.
#[derive(clap::Args)]
pub struct Child {
    #[arg(long)]
    parent: i32,

    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// This program itself, also where an upgrade has put another in its place.
const OURSELVES: &str = "/proc/self/exe";

impl Child {
    /// A command line that becomes the one that is added to it, and ends when this process does.
    pub fn command() -> Command {
        let mut command = Command::new(OURSELVES);
        command.args(["child", "--parent", &std::process::id().to_string(), "--"]);
        command
    }

    /// Asks the kernel to be told when the parent dies, even of a kill -9, and becomes the command.
    pub fn become_it(self) -> Failure {
        if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
            return Failure::system("the parent's death signal", &error.into());
        }
        // It may have died before we asked.
        if getppid().map(Pid::as_raw_nonzero).map(i32::from) != Some(self.parent) {
            return Failure::new(Exit::Unavailable, "the process that started this one is gone");
        }
        let Some((program, arguments)) = self.command.split_first() else { return Failure::usage("no command") };
        let error = std::process::Command::new(program).args(arguments).exec();
        Failure::system(PathBuf::from(program).display(), &error)
    }
}

/// A program that runs as long as `karman up` does.
#[derive(Clone, Debug)]
pub struct Service {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub dir: PathBuf,
    /// Where its standard error goes; to the terminal if nowhere.
    pub log: Option<PathBuf>,
    pub again: Again,
}

/// How long to wait before a program that ended is started again.
#[derive(Clone, Copy, Debug)]
pub enum Again {
    After(Duration),
    /// At once, and longer each time it lives for a short time only.
    BackingOff,
}

/// What is to be told of a service.
#[derive(Debug)]
pub enum News {
    Started { name: String, pid: u32 },
    Listening { name: String, address: SocketAddr },
    Ended { name: String, pid: u32, how: String, again: Duration },
}

/// A service under way.
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// A process that lived this long did not fail at starting.
const LIVED: Duration = Duration::from_secs(10);
/// How long a process may take to end by itself.
const END_WITHIN: Duration = Duration::from_secs(10);

impl Running {
    pub fn start(service: Service, news: mpsc::Sender<News>) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: tokio::spawn(keep(service, news, stopped)) }
    }

    /// Ends it: asks first, and insists after a while or when `hurry` says so.
    pub async fn stop(mut self, mut hurry: watch::Receiver<bool>) {
        let _ = self.stop.send(true);
        tokio::select! {
            _ = &mut self.task => return,
            () = told(&mut hurry) => {}
        }
        // Dropping the task kills the process.
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Starts the service, again and again, until it is told to stop.
async fn keep(service: Service, news: mpsc::Sender<News>, mut stopped: watch::Receiver<bool>) {
    let mut back_off = BACK_OFF_MIN;
    loop {
        let started = Instant::now();
        let (pid, how) = match service.spawn() {
            Ok(mut child) => {
                let pid = child.id().unwrap_or(0);
                let _ = news.send(News::Started { name: service.name.clone(), pid }).await;
                let reading = child.stdout.take().map(|stdout| tokio::spawn(listen(service.name.clone(), stdout, news.clone())));
                let ended = tokio::select! {
                    ended = child.wait() => ended,
                    () = told(&mut stopped) => return end(child, pid).await,
                };
                if let Some(reading) = reading {
                    reading.abort();
                }
                (pid, ended.map_or_else(|error| error.to_string(), described))
            }
            Err(error) => (0, error.to_string()),
        };
        back_off = if started.elapsed() > LIVED { BACK_OFF_MIN } else { (back_off * 2).min(BACK_OFF_MAX) };
        let again = match service.again {
            Again::After(time) => time,
            Again::BackingOff => back_off,
        };
        let _ = news.send(News::Ended { name: service.name.clone(), pid, how, again }).await;
        tokio::select! {
            () = sleep(again) => {}
            () = told(&mut stopped) => return,
        }
    }
}

impl Service {
    fn spawn(&self) -> io::Result<process::Child> {
        let mut command = Child::command();
        command.arg(&self.program).args(&self.arguments).current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        if let Some(log) = &self.log {
            command.stderr(append(log)?);
        }
        // Ctrl-C is for us, who then end the children in order.
        command.process_group(0);
        command.spawn()
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Reads what a service says on its standard output, where it tells its address.
async fn listen(name: String, stdout: ChildStdout, news: mpsc::Sender<News>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let address = line.strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        if let Some(address) = address {
            let _ = news.send(News::Listening { name: name.clone(), address }).await;
        }
    }
}

/// Waits until it is said, or until nobody can say it any more.
async fn told(said: &mut watch::Receiver<bool>) {
    let _ = said.wait_for(|said| *said).await;
}

async fn end(mut child: process::Child, pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended already.
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(END_WITHIN, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn described(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => "an unknown end".to_owned(),
    }
}

//! Programs under test: started, waited for, and always ended.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for a machine that builds something else meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const KARMAN: &str = env!("CARGO_BIN_EXE_karman");

/// Waits for a condition.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {} s in vain: {what}", PATIENCE.as_secs());
        sleep(Duration::from_millis(10));
    }
}

/// A program of another package, built into the same folder.
pub(crate) fn sibling(name: &str) -> PathBuf {
    let path = Path::new(KARMAN).with_file_name(name);
    assert!(path.is_file(), "{} is missing: 'cargo build --workspace --bins' builds it", path.display());
    path
}

/// Runs `karman` to its end.
pub(crate) fn karman(dir: &Path, arguments: &[&str]) -> Ran {
    karman_with(dir, arguments, [])
}

/// The same with more in its environment.
pub(crate) fn karman_with<const N: usize>(dir: &Path, arguments: &[&str], environment: [(&str, String); N]) -> Ran {
    let mut command = Command::new(KARMAN);
    command.args(arguments).current_dir(dir).env_remove("KARMAN_SOCKET").envs(environment);
    Ran::new(&command.output().unwrap())
}

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// A program that runs until it is told otherwise.
pub(crate) struct Program {
    child: Child,
    said: PathBuf,
}

impl Program {
    /// Starts it in `dir`; what it says goes to the file `NAME.said` there.
    pub(crate) fn start<A: AsRef<OsStr>>(name: &str, program: &Path, dir: &Path, arguments: impl IntoIterator<Item = A>) -> Self {
        Self::start_with(name, program, dir, arguments, [])
    }

    /// The same with more in its environment.
    pub(crate) fn start_with<A: AsRef<OsStr>, const N: usize>(
        name: &str,
        program: &Path,
        dir: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: [(&str, String); N],
    ) -> Self {
        let said = dir.join(format!("{name}.said"));
        let file = File::create(&said).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(dir)
            .env_remove("KARMAN_SOCKET")
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self { child, said }
    }

    /// Our own program, whose clock is off by `clock`, such as `+1d`.
    pub(crate) fn start_at(clock: &str, name: &str, dir: &Path, arguments: &[&str]) -> Self {
        // Not by the program `faketime`: it would be killed in place of the one it started.
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
        let environment = [("LD_PRELOAD", library), ("FAKETIME", clock.to_owned())];
        Self::start_with(name, Path::new(KARMAN), dir, arguments, environment)
    }

    /// All that it wrote to standard output and error.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    pub(crate) fn wait_for(&mut self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said().contains(words) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}) before it said '{words}':\n{}", self.said());
            assert!(Instant::now() < deadline, "it did not say '{words}':\n{}", self.said());
            sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ctrl-C, and the exit code that follows.
    pub(crate) fn interrupt(&mut self) -> i32 {
        signal(self.child.id(), rustix::process::Signal::INT);
        self.ended()
    }

    /// Waits for its end, and gives the exit code.
    pub(crate) fn ended(&mut self) -> i32 {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code()).unwrap_or(-1)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.said.display(), self.said());
        }
    }
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Whether a process of this id lives.
pub(crate) fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The processes that a program has started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

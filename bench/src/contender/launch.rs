//! Starting a peer from its configuration, and ending it.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{HOST, Kind, installed};
use crate::accounting;
use crate::http::Connection;

/// How long a peer may take until it serves the app.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// After this long without a new worker the signal is sent again.
const RELOAD_HEARD: Duration = Duration::from_secs(1);

/// Nothing outside shows that a peer has replaced its configuration within its process; after this long it has.
const RELOAD_IN_PLACE: Duration = Duration::from_secs(1);

/// How long a peer may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a peer runs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) address: SocketAddr,
    pub(super) https: SocketAddr,
}

/// What a peer is started with.
#[derive(Clone, Debug, Default)]
pub(super) struct Launch {
    pub(super) arguments: Vec<OsString>,
    /// Files of its folder, by name.
    pub(super) files: Vec<(&'static str, String)>,
}

/// A peer that serves. It ends with this value.
#[derive(Debug)]
pub(super) struct Launched {
    kind: Kind,
    process: Child,
    arguments: Vec<OsString>,
    place: Place,
}

/// How a peer reads its files again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reload {
    /// Upon this signal its master makes new workers, and the old ones finish what they have.
    NewWorkers(Signal),
    /// Its one process does, upon this signal or because it watches them.
    InPlace(Option<Signal>),
}

impl Place {
    /// A folder of its own, and addresses that were free a moment ago.
    pub(super) fn find(name: &str) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("karman-bench-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir)?;
        let (http, https) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        Ok(Self { dir, address: http.local_addr()?, https: https.local_addr()? })
    }

    fn write(&self, launch: &Launch) -> io::Result<()> {
        launch.files.iter().try_for_each(|(name, text)| fs::write(self.dir.join(name), text))
    }
}

impl Launched {
    pub(super) fn start(kind: Kind, configure: impl FnOnce(&Place) -> Launch) -> io::Result<Self> {
        let place = Place::find(kind.name())?;
        let launch = configure(&place);
        place.write(&launch)?;
        let process = spawn(kind, &launch.arguments, &place)?;
        let mut launched = Self { kind, process, arguments: launch.arguments, place };
        launched.until_it_serves()?;
        Ok(launched)
    }

    /// Stops it and starts it again, at the same address.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.stop();
        self.process = spawn(self.kind, &self.arguments, &self.place)?;
        self.until_it_serves()
    }

    fn until_it_serves(&mut self) -> io::Result<()> {
        let start = Instant::now();
        // Some listen before they know their routes.
        while !self.answers() {
            if start.elapsed() > START_TIMEOUT || self.process.try_wait()?.is_some() {
                let said = fs::read_to_string(self.place.dir.join("said")).unwrap_or_default();
                return Err(io::Error::other(format!("{} does not serve: {said}", self.kind.name())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Writes its files anew and has it read them; returns when the peer serves by them, as far as can be seen from outside.
    pub(super) fn reload(&self, configure: impl FnOnce(&Place) -> Launch, how: Reload) -> io::Result<()> {
        let before = accounting::with_children(&[self.id()]);
        self.place.write(&configure(&self.place))?;
        let signal = match how {
            Reload::NewWorkers(signal) => signal,
            Reload::InPlace(signal) => {
                signal.into_iter().for_each(|signal| self.signal(signal));
                std::thread::sleep(RELOAD_IN_PLACE);
                return self.must_serve();
            }
        };
        let is_new = || accounting::with_children(&[self.id()]).iter().any(|pid| !before.contains(pid));
        until_heard(RELOAD_HEARD, || self.signal(signal), is_new)?;
        self.must_serve()
    }

    fn must_serve(&self) -> io::Result<()> {
        let serves = within(START_TIMEOUT, || self.answers());
        if serves { Ok(()) } else { Err(io::Error::other("it serves no more since it read its files again")) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.place.address
    }

    pub(super) fn https(&self) -> SocketAddr {
        self.place.https
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    fn stop(&mut self) {
        // SIGTERM first, so that it takes its workers along.
        self.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP_TIMEOUT && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn answers(&self) -> bool {
        let ask = || Connection::new(TcpStream::connect(self.address())?).ask("GET", HOST, "/api/instance", b"");
        ask().is_ok_and(|answer| answer.status == 200)
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

fn spawn(kind: Kind, arguments: &[OsString], place: &Place) -> io::Result<Child> {
    let said = File::create(place.dir.join("said"))?;
    Command::new(installed::program(kind))
        .args(arguments)
        .current_dir(&place.dir)
        .env("HOME", &place.dir)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said)
        .spawn()
}

/// A master that still loads what it was given before loses a signal; HAProxy does. It is sent again where nothing comes of it.
fn until_heard(patience: Duration, mut signal: impl FnMut(), is_heard: impl Fn() -> bool) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < START_TIMEOUT {
        signal();
        if within(patience, &is_heard) {
            return Ok(());
        }
    }
    Err(io::Error::other("it made no new worker"))
}

/// Whether it became so in time.
fn within(patience: Duration, is_so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.place.dir);
    }
}

//! Starting a peer from its configuration, and ending it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::{HOST, Kind, installed};
use crate::http::Connection;

/// How long a peer may take until it serves the app.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Where a peer runs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) address: SocketAddr,
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
    process: Child,
    dir: PathBuf,
    pub(super) address: SocketAddr,
}

impl Place {
    /// A folder of its own, and an address that was free a moment ago.
    pub(super) fn find(name: &str) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("karman-bench-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, address: TcpListener::bind("127.0.0.1:0")?.local_addr()? })
    }
}

impl Launched {
    pub(super) fn start(kind: Kind, configure: impl FnOnce(&Place) -> Launch) -> io::Result<Self> {
        let place = Place::find(kind.name())?;
        let launch = configure(&place);
        for (name, text) in &launch.files {
            fs::write(place.dir.join(name), text)?;
        }
        let said = File::create(place.dir.join("said"))?;
        let process = Command::new(installed::program(kind))
            .args(&launch.arguments)
            .current_dir(&place.dir)
            .env("HOME", &place.dir)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        let mut launched = Self { process, dir: place.dir, address: place.address };
        let start = Instant::now();
        // Some listen before they know their routes.
        while !launched.answers() {
            if start.elapsed() > START_TIMEOUT || launched.process.try_wait()?.is_some() {
                let said = fs::read_to_string(launched.dir.join("said")).unwrap_or_default();
                return Err(io::Error::other(format!("{} does not serve: {said}", kind.name())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(launched)
    }

    fn answers(&self) -> bool {
        let ask = || Connection::new(TcpStream::connect(self.address)?).ask("GET", HOST, "/api/instance", b"");
        ask().is_ok_and(|answer| answer.status == 200)
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        // SIGTERM first, so that it takes its workers along.
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

//! `karman-sample`: a todo list that speaks what a Meteor app speaks, for `karman up`, the tests and the spike lab.

mod app;
mod conversation;
mod ddp;
mod http;
mod settings;
mod sockjs;
mod todos;
mod websocket;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use app::App;
use settings::Settings;

/// Clients that may wait to be accepted: a whole herd comes back at once when an instance dies.
const BACKLOG: u32 = 4096;
/// Clients that nobody waits for when they come.
const SOCKETS: i32 = 16_383;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).with_ansi(false).init();
    // Before there are threads.
    allow_many_sockets();
    match run(Settings::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until it is told to stop, and then stops at once, dropping every socket, as Node does.
#[tokio::main]
async fn run(settings: Settings) -> io::Result<()> {
    let app = Arc::new(App::open(&settings)?);
    let listener = listen(settings.listen)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    info!("instance {}, release {}, pid {}", app.identity.instance, app.identity.release, app.identity.pid);
    announce(listener.local_addr()?)?;
    tokio::select! {
        () = http::serve(listener, Arc::clone(&app)) => {}
        () = app.todos.follow() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let in_context = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address).map_err(in_context)?;
    socket.listen(BACKLOG).map_err(in_context)
}

/// The one line on standard output, from which whoever started us learns the port.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on http://{address}")?;
    stdout.flush()
}

/// The usual soft limit of 1,024 files would refuse the 1,000th tab.
fn allow_many_sockets() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        warn!("cannot raise the limit of open files: {error}");
    }
    // The kernel's table of them is made large at once: with several threads, they stand still when it grows.
    if let Err(error) = fcntl_dupfd_cloexec(io::stderr(), SOCKETS) {
        warn!("the table of open files grows as clients come: {error}");
    }
}

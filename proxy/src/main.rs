//! `karman-proxy`: reads its arguments and settings, and runs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use karman_proxy::{descriptors, server, settings};
use tikv_jemallocator::Jemalloc;

/// What is freed goes back to the system, so that what the process holds says what it uses: the C library's
/// allocator keeps what a flood of connections took, and the edge would go on as if it were full.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Carries sticky HTTP, WebSocket, SockJS and DDP traffic to app instances.
#[derive(Debug, Parser)]
#[command(name = "karman-proxy", version)]
struct Arguments {
    /// The settings of this edge.
    #[arg(long, value_name = "FILE")]
    settings: PathBuf,
    /// Read the settings, say what is wrong with them, and exit 0 or 64.
    #[arg(long)]
    check: bool,
    /// Take over from the running proxy without a refused connection, or just start where none runs.
    #[arg(long)]
    upgrade: bool,
}

/// EX_USAGE: the settings or the arguments are wrong, and starting again will not help.
const EXIT_USAGE: u8 = 64;

const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let settings = match settings::load(&arguments.settings) {
        Ok(settings) => settings,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if arguments.check {
        println!("{}: good", arguments.settings.display());
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(settings.log.level).with_ansi(false).init();
    // Before there are threads.
    if let Err(e) = descriptors::reserve(settings.limits.connections) {
        tracing::debug!(error = %e, "the table of open files grows as connections come");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(settings.threads).enable_all().build();
    let ran = match runtime {
        Ok(runtime) => {
            let ran = runtime.block_on(server::run(settings, arguments.upgrade)).map_err(|e| e.to_string());
            // A call that still waits for a disk must not keep the process.
            runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
            ran
        }
        Err(e) => Err(format!("could not start its threads: {e}")),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("karman-proxy: {why}");
            ExitCode::FAILURE
        }
    }
}

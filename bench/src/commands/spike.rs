//! `karman-bench spike`: requests that come to an edge by the clock, at a rate that rises at once and falls again.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::target::Target;
use crate::load::pace::{self, Asked};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The edge, as http://HOST[:PORT]
    #[arg(long)]
    target: Target,
    #[arg(long, default_value = "/")]
    path: String,
    /// Requests a second before and after the spike
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    calm: u32,
    /// Requests a second within it
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    peak: u32,
    /// In all: a third before the spike, a third within, a third after
    #[arg(long, value_parser = clap::value_parser!(u64).range(3..=3_600))]
    seconds: u64,
    /// Connections, all of them kept
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    connections: u32,
}

pub(crate) fn run(options: &Options) -> io::Result<ExitCode> {
    let asked = Asked { host: options.target.host.clone(), ..Asked::get(options.target.address, &options.path) };
    let all = Duration::from_secs(options.seconds);
    let rate = |at: Duration| {
        let within = at >= all / 3 && at < all / 3 * 2;
        (at < all).then_some(f64::from(if within { options.peak } else { options.calm }))
    };
    let noted = pace::run(&asked, options.connections, &rate);
    println!("answered {}, failed {}", noted.answered(), noted.failed());
    println!("from when a request was due   {}", noted.latency.line());
    for (at, p99) in noted.p99_over_time(1.0) {
        println!("second {at:>4.0}   p99 {p99:>9.2} ms");
    }
    for (kind, count) in &noted.errors {
        println!("failed: {count} {kind}");
    }
    Ok(if noted.answered() > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

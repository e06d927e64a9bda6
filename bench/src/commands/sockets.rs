//! `karman-bench sockets`: WebSockets that stand open at an edge, and a note of each that ends.

use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::target::Target;
use crate::lab::progress;
use crate::load::most_within_a_second;
use crate::load::standing::Standing;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The edge, as http://HOST[:PORT]; its app speaks DDP at /websocket
    #[arg(long)]
    target: Target,
    /// Sockets in all
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    count: u32,
    /// Sockets that are opened a second, at most
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    per_second: u32,
    /// How long they stand, from the first one on
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
}

/// Exits 1 when a socket ended before its time.
pub(crate) fn run(options: &Options) -> io::Result<ExitCode> {
    let standing = Standing::new()?;
    let start = Instant::now();
    let end = Duration::from_secs(options.seconds);
    let mut opened = 0;
    while start.elapsed() < end {
        let second = Instant::now();
        let more = options.per_second.min(options.count - opened);
        standing.add(options.target.address, &options.target.host, more)?;
        opened += more;
        progress(&format!("{:.0} s · {} of {opened} sockets open", start.elapsed().as_secs_f64(), standing.count()));
        let rest = Duration::from_secs(1).saturating_sub(second.elapsed());
        thread::sleep(rest.min(end.saturating_sub(start.elapsed())));
    }
    progress("");
    let ends = standing.ends();
    println!("opened {opened}, open {}, ended {}", standing.count(), ends.len());
    println!("without a close frame {}", ends.iter().filter(|end| !end.clean).count());
    println!("most ended within a second {}", most_within_a_second(ends.iter().map(|end| end.at)));
    Ok(if ends.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! `karman-bench herd`: Meteor clients that come to an edge, stay, and come back when they lose their socket.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::target::Target;
use crate::lab::progress;
use crate::load::Latency;
use crate::load::herd::{Happened, Herd, Terms, first_live, gaps};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The edge, as http://HOST[:PORT]
    #[arg(long)]
    target: Target,
    /// Clients in all
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9_000))]
    clients: u32,
    /// Clients that come a second
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    per_second: u32,
    /// How long they stay, from the first one's coming
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Where SockJS lives
    #[arg(long, default_value = "/sockjs")]
    prefix: String,
    /// What each subscribes to; none, and a client has live data when its socket is open
    #[arg(long = "subscribe", value_name = "NAME")]
    subscriptions: Vec<String>,
}

pub(crate) fn run(options: &Options) -> io::Result<ExitCode> {
    let herd = Herd::start(Terms {
        address: options.target.address,
        host: options.target.host.clone(),
        prefix: options.prefix.clone(),
        page: None,
        subscriptions: options.subscriptions.clone(),
        clients: options.clients,
        per_second: options.per_second.into(),
    })?;
    let start = Instant::now();
    let end = Duration::from_secs(options.seconds);
    while start.elapsed() < end {
        thread::sleep(Duration::from_millis(500).min(end.saturating_sub(start.elapsed())));
        progress(&format!(
            "{:.0} s · {} of {} clients have live data",
            start.elapsed().as_secs_f64(),
            herd.live(),
            options.clients
        ));
    }
    progress("");
    tell(&herd, start, options.clients);
    Ok(ExitCode::SUCCESS)
}

fn tell(herd: &Herd, start: Instant, clients: u32) {
    let events = herd.events();
    let mut refusals: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut opened, mut polling, mut lost) = (0, 0, 0);
    for event in &events {
        match &event.happened {
            Happened::Opened { polling: poll } => {
                opened += 1;
                polling += u32::from(*poll);
            }
            Happened::Lost => lost += 1,
            Happened::Refused { why } => *refusals.entry(why).or_default() += 1,
            Happened::Came | Happened::Live { .. } => {}
        }
    }
    println!("{} of {clients} clients have live data", herd.live());
    println!("sockets opened {opened}, of them polling {polling}; lost {lost}");
    println!("until the first live data   {}", Latency::of(first_live(&events).into_iter().flatten()).line());
    println!("without it after a loss     {}", Latency::of(gaps(&events, start).into_iter().flatten()).line());
    for (why, count) in refusals {
        println!("refused: {count} {why}");
    }
}

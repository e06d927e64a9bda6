//! `karman-bench`: the spike lab. Each scenario answers one question and prints its figures.

mod http;
mod peers;
mod proxy;
mod report;
mod sample;
mod sockets;
mod tables;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Drives the released binaries from outside, and prints what it measured.
#[derive(Debug, Parser)]
#[command(name = "karman-bench", version)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// How long does a large table take to load from disk, and a one-app change on top of it to be live?
    Tables(tables::Options),
    /// What does a WebSocket cost the proxy, idle and chatting, beside nginx and HAProxy?
    Sockets(sockets::Options),
}

fn main() -> ExitCode {
    let ran = match Arguments::parse().scenario {
        Scenario::Tables(options) => tables::run(&options),
        Scenario::Sockets(options) => sockets::run(&options),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("karman-bench: {e}");
            ExitCode::FAILURE
        }
    }
}

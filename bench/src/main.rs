//! `karman-bench`: the spike lab. Each scenario puts one question to Karman and its peers, side by side.

mod accounting;
mod authority;
mod commands;
mod contender;
mod control;
mod http;
mod lab;
mod load;
mod report;
mod sample;
mod scenarios;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Drives the released binaries from outside, and prints what it measured.
#[derive(Debug, Parser)]
#[command(name = "karman-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios, each contender in turn, and write results
    Run(commands::run::Options),
    /// Name the scenarios and their questions
    List,
    /// Compare two folders of results; exits 1 when a figure got worse by more than its spread
    Compare(commands::compare::Options),
    /// Put the headline of a whole run into README.md
    Headline(commands::headline::Options),
    /// Send a herd of Meteor clients to an edge
    Herd(commands::herd::Options),
    /// Send a crowd of requests to an edge
    Spike(commands::spike::Options),
    /// Hold sockets open at an edge
    Sockets(commands::sockets::Options),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    allow_many_sockets();
    let ran = match command {
        Command::Run(options) => commands::run::run(&options),
        Command::List => commands::list(),
        Command::Compare(options) => commands::compare::run(&options),
        Command::Headline(options) => commands::headline::run(&options),
        Command::Herd(options) => commands::herd::run(&options),
        Command::Spike(options) => commands::spike::run(&options),
        Command::Sockets(options) => commands::sockets::run(&options),
    };
    ran.unwrap_or_else(|e| {
        eprintln!("karman-bench: {e}");
        ExitCode::FAILURE
    })
}

/// The usual soft limit of 1,024 files would be the limit of every scenario with sockets, of the contenders too.
fn allow_many_sockets() {
    let limit = getrlimit(Resource::Nofile);
    let raised: io::Result<()> =
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).map_err(Into::into);
    if let Err(e) = raised {
        eprintln!("karman-bench: cannot raise the limit of open files: {e}");
    }
}

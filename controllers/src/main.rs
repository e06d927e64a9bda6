//! `karman`: the controllers and the operators' verbs, one subcommand each.

use std::process::ExitCode;

fn main() -> ExitCode {
    karman::cli::main()
}

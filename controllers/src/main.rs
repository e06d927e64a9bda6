//! `karman`: the controllers and the operators' verbs, one subcommand each.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// What is freed goes back to the system: reading a whole store takes far more than what is kept of it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    // First of all: whoever speaks TLS takes the one provider that is there. It fails only if that was done.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    karman::cli::main()
}

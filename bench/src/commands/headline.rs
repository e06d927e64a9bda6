//! `karman-bench headline`: puts the few rows and pictures of a whole run into the project's README.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::report::{Results, headline, newest};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A folder of results; the newest of bench/results without it
    results: Option<PathBuf>,
    /// What is written into, between its two marks
    #[arg(long, default_value = "README.md")]
    into: PathBuf,
}

pub(crate) fn run(options: &Options) -> io::Result<ExitCode> {
    let folder = match &options.results {
        Some(folder) => folder.clone(),
        None => newest(Path::new("bench/results"))?,
    };
    let readme = fs::read_to_string(&options.into)?;
    let named = folder.display().to_string();
    let written = headline::into_readme(&readme, &Results::read_all(&folder)?, named.trim_end_matches('/'));
    let written = written.ok_or_else(|| io::Error::other(format!("{} has no marks of the lab", options.into.display())))?;
    fs::write(&options.into, written)?;
    Ok(ExitCode::SUCCESS)
}

//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

#[derive(Parser, Debug)]
#[command(
    name = "karman-sample",
    version,
    about = "A todo list that speaks what a Meteor app speaks: SockJS, DDP and plain HTTP"
)]
pub(crate) struct Settings {
    /// Where to listen; with port 0 the line on standard output says which port it became
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,

    /// The name by which this process tells itself from its siblings
    #[arg(long, value_name = "NAME", default_value = "sample", value_parser = instance_name)]
    pub(crate) instance: String,

    /// The release it pretends to be
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) release: u64,

    /// The log of todos that all instances of the app share; without it the todos live in memory
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,

    /// Where SockJS lives
    #[arg(long, value_name = "PATH", default_value = "/sockjs")]
    pub(crate) prefix: Prefix,

    /// The silence after which SockJS sends a heartbeat
    #[arg(long = "heartbeat-seconds", value_name = "SECONDS", default_value = "45", value_parser = seconds)]
    pub(crate) heartbeat: Duration,
}

/// A path such as `/sockjs` or `/app/sockjs`, safe to stand in a page and to compare by segments.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(String);

impl Prefix {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What of `path` stands below the prefix: `/sockjs/info` gives `/info`, `/sockjsinfo` gives nothing.
    pub(crate) fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.0).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let segment = |segment: &str| !segment.is_empty() && segment.bytes().all(is_plain);
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(segment) => Ok(Self(text.to_owned())),
            _ => Err("wanted a path such as /sockjs, of letters, digits, '-', '_' and '.'".to_owned()),
        }
    }
}

fn instance_name(text: &str) -> Result<String, String> {
    if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("wanted 1 to 64 letters, digits, '-', '_' and '.'".to_owned())
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("wanted 1 to 3600 seconds".to_owned()),
    }
}

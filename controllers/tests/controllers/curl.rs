//! curl, as those use it who look at an edge from outside.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use crate::program::wait_until;

/// What curl got in the end.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// curl's own exit code: 0, or 60 where it does not trust the certificate.
    pub(crate) exit: i32,
    pub(crate) status: u16,
    /// `1.1` or `2`.
    pub(crate) version: String,
    pub(crate) redirects: usize,
    pub(crate) body: String,
    pub(crate) said: String,
}

/// Fetches an address by name; every name is taken to be at `at`. Nothing is trusted but `root`, if given.
pub(crate) fn fetch(url: &str, at: IpAddr, root: Option<&Path>, options: &[&str]) -> Fetched {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--connect-to", &format!("::{at}:")]);
    if let Some(root) = root {
        curl.arg("--cacert").arg(root);
    }
    curl.args(["--write-out", "\n%{http_code} %{http_version} %{num_redirects}"]).args(options).arg(url);
    let output = curl.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, numbers) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{output:?}"));
    let mut numbers = numbers.split(' ');
    let mut number = || numbers.next().unwrap_or_default();
    Fetched {
        exit: output.status.code().unwrap_or(-1),
        status: number().parse().unwrap_or(0),
        version: number().to_owned(),
        redirects: number().parse().unwrap_or(0),
        body: body.to_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Fetches until the edge has a certificate that `root` vouches for.
pub(crate) fn fetch_once_certified(url: &str, at: IpAddr, root: &Path, options: &[&str]) -> Fetched {
    let mut fetched = fetch(url, at, Some(root), options);
    wait_until(&format!("{url} is certified"), || {
        if fetched.exit != 0 {
            fetched = fetch(url, at, Some(root), options);
        }
        fetched.exit == 0
    });
    fetched
}

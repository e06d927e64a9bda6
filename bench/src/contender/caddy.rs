//! Caddy's configuration.

use std::fmt::Write as _;

use super::launch::{Launch, Place};
use super::{HOST, Job, Kind, NEIGHBOUR};

pub(super) fn launch(_: Kind, job: &Job, place: &Place) -> Launch {
    let instances: Vec<_> = job.instances.iter().map(ToString::to_string).collect();
    let (ip, port) = (place.address.ip(), place.address.port());
    let proxy = format!(
        " bind {ip}\n{} reverse_proxy {} {{\n  lb_policy cookie edge secret\n  flush_interval -1\n\
         transport http {{\n   dial_timeout 3s\n   keepalive 4s\n   keepalive_idle_conns_per_host 256\n  }}\n }}\n",
        if job.logged { " log {\n  output file access.log\n }\n" } else { "" },
        instances.join(" "),
    );
    let mut config = format!(
        "{{\n admin off\n auto_https off\n persist_config off\n log {{\n  level ERROR\n }}\n servers {{\n  protocols h1 h2 h2c\n }}\n}}\n\
         http://{HOST}:{port} {{\n{proxy}}}\n",
    );
    let mut files = Vec::new();
    if let Some(certificate) = &job.certificate {
        let _ = write!(config, "https://{HOST}:{} {{\n tls edge.pem edge.pem\n{proxy}}}\n", place.https.port());
        files.push(("edge.pem", certificate.chain_and_key()));
    }
    if let Some(instance) = job.neighbour {
        let _ = write!(config, "http://{NEIGHBOUR}:{port} {{\n bind {ip}\n reverse_proxy {instance}\n}}\n");
    }
    files.push(("Caddyfile", config));
    Launch { arguments: ["run", "--config", "Caddyfile", "--adapter", "caddyfile"].map(Into::into).into(), files }
}

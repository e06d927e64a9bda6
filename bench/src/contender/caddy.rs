//! Caddy's configuration.

use super::launch::{Launch, Place};
use super::{HOST, Job, Kind};

pub(super) fn launch(_: Kind, job: &Job, place: &Place) -> Launch {
    let instances: Vec<_> = job.instances.iter().map(ToString::to_string).collect();
    let config = format!(
        "{{\n admin off\n auto_https off\n persist_config off\n log {{\n  level ERROR\n }}\n servers {{\n  protocols h1 h2c\n }}\n}}\n\
         http://{HOST}:{} {{\n bind {}\n reverse_proxy {} {{\n  lb_policy cookie edge secret\n  flush_interval -1\n\
         transport http {{\n   dial_timeout 3s\n   keepalive 4s\n   keepalive_idle_conns_per_host 256\n  }}\n }}\n}}\n",
        place.address.port(),
        place.address.ip(),
        instances.join(" "),
    );
    Launch {
        arguments: ["run", "--config", "Caddyfile", "--adapter", "caddyfile"].map(Into::into).into(),
        files: vec![("Caddyfile", config)],
    }
}

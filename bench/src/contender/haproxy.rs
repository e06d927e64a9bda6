//! HAProxy's configuration.

use std::fmt::Write as _;

use super::launch::{Launch, Place};
use super::{Job, Kind, cores};

pub(super) fn launch(_: Kind, job: &Job, place: &Place) -> Launch {
    let secured = job
        .certificate
        .as_ref()
        .map_or(String::new(), |_| format!(" bind {} backlog 4096 ssl crt {}/edge.pem\n", place.https, place.dir.display()));
    let mut config = format!(
        "global\n nbthread {}\n maxconn 9500\n\
         defaults\n mode http\n timeout connect 3s\n timeout client 60s\n timeout server 60s\n timeout http-keep-alive 60s\n timeout tunnel 120s\n\
         frontend edge\n bind {} backlog 4096\n{secured} option forwardfor\n http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]\n default_backend app\n\
         backend app\n balance leastconn\n cookie edge insert indirect nocache\n http-reuse safe\n option redispatch 1\n default-server check inter 1s fall 2 rise 1\n",
        cores(),
        place.address,
    );
    for (n, instance) in job.instances.iter().enumerate() {
        let _ = writeln!(config, " server i{n} {instance} cookie i{n}");
    }
    let mut files = vec![("haproxy.cfg", config)];
    files.extend(job.certificate.as_ref().map(|certificate| ("edge.pem", certificate.chain_and_key())));
    Launch { arguments: vec!["-W".into(), "-db".into(), "-q".into(), "-f".into(), place.dir.join("haproxy.cfg").into()], files }
}

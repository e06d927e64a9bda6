//! HAProxy's configuration.

use std::fmt::Write as _;

use super::launch::{Launch, Place};
use super::{Job, Kind, NEIGHBOUR, cores};

pub(super) fn launch(_: Kind, job: &Job, place: &Place) -> Launch {
    let secured = job.certificate.as_ref().map_or(String::new(), |_| {
        format!(" bind {} backlog 4096 ssl crt {}/edge.pem alpn h2,http/1.1\n", place.https, place.dir.display())
    });
    // To standard output, which is a file here.
    let (log, option) = if job.logged { (" log stdout format raw local0\n", " log global\n option httplog\n") } else { ("", "") };
    let beside =
        job.neighbour.map_or("", |_| " use_backend beside if { req.hdr(host) -i NEIGHBOUR }\n").replace("NEIGHBOUR", NEIGHBOUR);
    let mut config = format!(
        "global\n nbthread {}\n maxconn 9500\n{log}\
         defaults\n mode http\n timeout connect 3s\n timeout client 60s\n timeout server 60s\n timeout http-keep-alive 60s\n timeout tunnel 120s\n\
         frontend edge\n bind {} backlog 4096\n{secured}{option} option forwardfor\n http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]\n{beside} default_backend app\n\
         backend app\n balance leastconn\n cookie edge insert indirect nocache\n http-reuse safe\n option redispatch 1\n default-server check inter 1s fall 2 rise 1\n",
        cores(),
        place.address,
    );
    for (n, instance) in job.instances.iter().enumerate() {
        let _ = writeln!(config, " server i{n} {instance} cookie i{n}");
    }
    if let Some(instance) = job.neighbour {
        let (refusal, most) = job.bound.map_or_else(Default::default, |bound| {
            let refusal =
                format!(" timeout queue 10s\n http-request deny deny_status 503 if {{ queue(beside) ge {} }}\n", bound.queue);
            (refusal, format!(" maxconn {}", bound.in_flight))
        });
        let _ = writeln!(config, "backend beside\n{refusal} server i0 {instance}{most}");
    }
    let mut files = vec![("haproxy.cfg", config)];
    files.extend(job.certificate.as_ref().map(|certificate| ("edge.pem", certificate.chain_and_key())));
    Launch { arguments: vec!["-W".into(), "-db".into(), "-q".into(), "-f".into(), place.dir.join("haproxy.cfg").into()], files }
}

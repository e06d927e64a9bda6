//! nginx's configuration.

use std::fmt::Write as _;

use super::launch::{Launch, Place};
use super::{HOST, Job, Kind, NEIGHBOUR, cores};

pub(super) fn launch(kind: Kind, job: &Job, place: &Place) -> Launch {
    let folder = place.dir.display();
    let mut upstream = String::new();
    for instance in &job.instances {
        let _ = writeln!(upstream, "server {instance};");
    }
    // Sticky by cookie came to the open version with 1.29.6; before it, there is the client's address.
    let sticky = match kind {
        Kind::NginxDebian => "ip_hash;",
        _ => "sticky cookie edge path=/;",
    };
    let secured = job.certificate.as_ref().map_or(String::new(), |_| {
        let listen = match kind {
            Kind::NginxDebian => format!("listen {} ssl http2 backlog=4096;", place.https),
            _ => format!("listen {} ssl backlog=4096; http2 on;", place.https),
        };
        format!(
            "{listen} ssl_certificate {folder}/edge.pem; ssl_certificate_key {folder}/edge.pem; ssl_protocols TLSv1.2 TLSv1.3;"
        )
    });
    let (zones, limits) = job.bound.map_or_else(Default::default, |bound| {
        // The open version has no queue for a place at an instance, but one for a place in a rate.
        let zones = format!(
            "limit_conn_zone $server_name zone=together:1m; limit_req_zone $server_name zone=after:1m rate={}r/s;\n",
            bound.per_second
        );
        // A refusal is no error of nginx's: nobody else logs it either.
        let limits = format!(
            "limit_conn together {}; limit_req zone=after burst={}; limit_conn_log_level info; limit_req_log_level info;",
            bound.in_flight, bound.queue
        );
        (zones, limits)
    });
    // Sockets of the neighbour are not what is measured.
    let neighbour = job.neighbour.map_or(String::new(), |instance| {
        format!(
            "{zones}upstream beside {{ server {instance}; keepalive 256; keepalive_timeout 4s; keepalive_requests 100000; }}\n\
             server {{ listen {}; server_name {NEIGHBOUR}; {limits} location / {{ proxy_pass http://beside; proxy_http_version 1.1;\n\
             proxy_set_header Host $host; proxy_set_header Connection ''; }} }}\n",
            place.address
        )
    });
    let access = if job.logged { format!("access_log {folder}/access.log") } else { "access_log off".to_owned() };
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let config = format!(
        "daemon off; {user} pid {folder}/pid; error_log {folder}/error.log; worker_processes {};\n\
         events {{ worker_connections 20000; }}\n\
         http {{ {access}; proxy_buffering off; keepalive_requests 100000; keepalive_timeout 60s;\n\
         client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;\n\
         uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 100m;\n\
         map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}\n\
         upstream app {{ {sticky}\n{upstream} keepalive 256; keepalive_timeout 4s; keepalive_requests 100000; }}\n\
         server {{ listen {} backlog=4096; {secured} server_name {HOST}; location / {{ proxy_pass http://app; proxy_http_version 1.1;\n\
         proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_connect_timeout 3s; proxy_read_timeout 120s; }} }}\n{neighbour} }}\n",
        cores(),
        place.address,
    );
    let mut files = vec![("nginx.conf", config)];
    files.extend(job.certificate.as_ref().map(|certificate| ("edge.pem", certificate.chain_and_key())));
    Launch { arguments: vec!["-p".into(), place.dir.clone().into(), "-c".into(), place.dir.join("nginx.conf").into()], files }
}

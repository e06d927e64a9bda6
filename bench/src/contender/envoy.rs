//! Envoy's configuration.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::launch::{Launch, Place};
use super::{HOST, Job, Kind, NEIGHBOUR, cores};

const PREFIX: &str = "type.googleapis.com/envoy.extensions";

/// The defaults, 1,024, are a limit of the cluster and not of what is measured.
const NO_BOUND: (u32, u32) = (100_000, 100_000);

pub(super) fn launch(_: Kind, job: &Job, place: &Place) -> Launch {
    let mut clusters = vec![cluster("todos", &job.instances, NO_BOUND)];
    let mut hosts = vec![host("todos", HOST)];
    if let Some(instance) = job.neighbour {
        let bound = job.bound.map_or(NO_BOUND, |bound| (bound.in_flight, bound.queue));
        clusters.push(cluster("beside", &[instance], bound));
        hosts.push(host("beside", NEIGHBOUR));
    }
    let mut manager = json!({
        "@type": format!("{PREFIX}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "edge",
        "use_remote_address": true,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": "120s",
        "common_http_protocol_options": {"idle_timeout": "60s"},
        "http_filters": [
            {"name": "envoy.filters.http.stateful_session", "typed_config": {
                "@type": format!("{PREFIX}.filters.http.stateful_session.v3.StatefulSession"),
                "session_state": {"name": "envoy.http.stateful_session.cookie", "typed_config": {
                    "@type": format!("{PREFIX}.http.stateful_session.cookie.v3.CookieBasedSessionState"),
                    "cookie": {"name": "edge", "path": "/"},
                }},
            }},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": format!("{PREFIX}.filters.http.router.v3.Router")}},
        ],
        "route_config": {"virtual_hosts": hosts},
    });
    if job.logged {
        manager["access_log"] = json!([{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": format!("{PREFIX}.access_loggers.file.v3.FileAccessLog"),
            "path": place.dir.join("access.log"),
        }}]);
    }
    let filters = json!([{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]);
    let mut listeners = vec![json!({"address": address(&place.address), "filter_chains": [{"filters": filters}]})];
    let mut files = Vec::new();
    if let Some(certificate) = &job.certificate {
        let pem = json!({"filename": place.dir.join("edge.pem")});
        let secured = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": format!("{PREFIX}.transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [{"certificate_chain": pem, "private_key": pem}],
            },
        }});
        listeners.push(json!({
            "address": address(&place.https),
            "filter_chains": [{"filters": filters, "transport_socket": secured}],
        }));
        files.push(("edge.pem", certificate.chain_and_key()));
    }
    let config = json!({
        "static_resources": {"listeners": listeners, "clusters": clusters},
    });
    let threads = cores().to_string();
    let arguments = ["--config-path", "envoy.json", "--concurrency", &threads, "--disable-hot-restart", "--log-level", "error"];
    files.push(("envoy.json", config.to_string()));
    Launch { arguments: arguments.map(Into::into).into(), files }
}

fn host(name: &str, host: &str) -> Value {
    json!({
        "name": name,
        "domains": [host],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s"}}],
    })
}

/// One app; of its requests so many are worked on at once, and so many wait.
fn cluster(name: &str, instances: &[SocketAddr], (at_once, wait): (u32, u32)) -> Value {
    let endpoints: Vec<_> = instances.iter().map(|instance| json!({"endpoint": {"address": address(instance)}})).collect();
    json!({
        "name": name,
        "connect_timeout": "3s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        // Over HTTP/1.1 a request has a connection of its own, or waits for one.
        "circuit_breakers": {"thresholds": [{"max_connections": at_once, "max_requests": at_once, "max_pending_requests": wait}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": format!("{PREFIX}.upstreams.http.v3.HttpProtocolOptions"),
            "common_http_protocol_options": {"idle_timeout": "4s"},
            "explicit_http_config": {"http_protocol_options": {}},
        }},
    })
}

fn address(address: &SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

//! Traefik's configuration.

use std::net::SocketAddr;

use serde_json::json;

use super::launch::{Launch, Place};
use super::{HOST, Job, Kind, NEIGHBOUR};

pub(super) fn launch(_: Kind, job: &Job, place: &Place) -> Launch {
    let servers: Vec<_> = job.instances.iter().map(|instance| json!({"url": format!("http://{instance}")})).collect();
    // JSON is YAML too.
    let entry = |address: SocketAddr| {
        json!({
            "address": address.to_string(),
            "transport": {"respondingTimeouts": {"idleTimeout": "60s"}},
        })
    };
    let mut fixed = json!({
        "entryPoints": {"edge": entry(place.address), "secured": entry(place.https)},
        "providers": {"file": {"filename": "routes.yaml", "watch": true}},
        "global": {"checkNewVersion": false, "sendAnonymousUsage": false},
        "log": {"level": "ERROR"},
    });
    if job.logged {
        fixed["accessLog"] = json!({"filePath": "access.log"});
    }
    let rule = |host: &str| format!("Host(`{host}`)");
    let mut routes = json!({"http": {
        "routers": {"todos": {"rule": rule(HOST), "service": "todos", "entryPoints": ["edge"]}},
        "services": {"todos": {"loadBalancer": {
            "servers": servers,
            "sticky": {"cookie": {"name": "edge", "httpOnly": true}},
            "serversTransport": "app",
        }}},
        "serversTransports": {"app": {
            "maxIdleConnsPerHost": 256,
            "forwardingTimeouts": {"dialTimeout": "3s", "idleConnTimeout": "4s"},
        }},
    }});
    if let Some(instance) = job.neighbour {
        routes["http"]["routers"]["beside"] = json!({"rule": rule(NEIGHBOUR), "service": "beside", "entryPoints": ["edge"]});
        routes["http"]["services"]["beside"] = json!({"loadBalancer": {"servers": [{"url": format!("http://{instance}")}]}});
    }
    let mut files = vec![("traefik.yaml", fixed.to_string())];
    if let Some(certificate) = &job.certificate {
        routes["http"]["routers"]["secured"] =
            json!({"rule": rule(HOST), "service": "todos", "entryPoints": ["secured"], "tls": {}});
        routes["tls"] = json!({"certificates": [{"certFile": "edge.pem", "keyFile": "edge.pem"}]});
        files.push(("edge.pem", certificate.chain_and_key()));
    }
    // Last, because it watches this one: all that it names must be there.
    files.push(("routes.yaml", routes.to_string()));
    Launch { arguments: vec!["--configFile=traefik.yaml".into()], files }
}

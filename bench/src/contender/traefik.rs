//! Traefik's configuration.

use serde_json::json;

use super::launch::{Launch, Place};
use super::{HOST, Job, Kind};

pub(super) fn launch(_: Kind, job: &Job, place: &Place) -> Launch {
    let servers: Vec<_> = job.instances.iter().map(|instance| json!({"url": format!("http://{instance}")})).collect();
    // JSON is YAML too.
    let fixed = json!({
        "entryPoints": {"edge": {
            "address": place.address.to_string(),
            "transport": {"respondingTimeouts": {"idleTimeout": "60s"}},
        }},
        "providers": {"file": {"filename": "routes.yaml", "watch": false}},
        "global": {"checkNewVersion": false, "sendAnonymousUsage": false},
        "log": {"level": "ERROR"},
    });
    let routes = json!({"http": {
        "routers": {"todos": {"rule": format!("Host(`{HOST}`)"), "service": "todos", "entryPoints": ["edge"]}},
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
    Launch {
        arguments: vec!["--configFile=traefik.yaml".into()],
        files: vec![("traefik.yaml", fixed.to_string()), ("routes.yaml", routes.to_string())],
    }
}

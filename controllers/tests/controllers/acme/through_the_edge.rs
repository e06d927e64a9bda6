//! The whole way: a CA, the controller, the publisher and a proxy that proves and serves, and a client that trusts the CA.

use serde_json::json;

use super::https::Identity;
use super::pebble::{ACME, HTTP, Pebble, TLS, own_address};
use super::platform::{Platform, names_of};
use crate::curl::{fetch, fetch_once_certified};
use crate::edge::{Edge, backend};

const HOST: &str = "todos.example.com";

#[test]
fn a_host_is_proven_by_http_01_and_served() {
    proven_and_served("http-01");
}

#[test]
fn a_host_is_proven_by_tls_alpn_01_and_served() {
    proven_and_served("tls-alpn-01");
}

fn proven_and_served(method: &str) {
    let mut platform = Platform::new();
    let pebble = Pebble::start(platform.dir(), &Identity::for_address(own_address(ACME)), 20);
    platform.settings(&json!({
        "cas": [{"name": "pebble", "directory": Pebble::directory(), "root": "ca-root.pem"}],
        "resolvers": [Pebble::resolver()],
        "addresses": [own_address(0).ip()],
        "method": method,
        // How long the publisher and the proxy may take on a machine that has more to do.
        "propagation_seconds": 4,
    }));
    platform.app_at("one", HOST, backend("the app"));
    // The ports at which the CA looks for its proofs are those where clients come in.
    let mut edge = Edge::with(&[]);
    edge.listen(&json!({"http": [own_address(HTTP)], "https": [own_address(TLS)]}));
    edge.start_proxy();
    edge.start_publisher_on(&platform.data("").display().to_string());

    let (at, root) = (own_address(0).ip(), pebble.root());
    let (http, https) = (format!("http://{HOST}:{HTTP}/"), format!("https://{HOST}:{TLS}/"));
    platform.start();
    assert_eq!(names_of(&platform.certified(HOST)), [format!("DNSName({HOST})")]);
    assert_eq!(pebble.said().matches("Added order").count(), 1, "{}", pebble.said());
    for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let fetched = fetch_once_certified(&https, at, &root, &[option]);
        assert_eq!((fetched.status, fetched.version.as_str()), (200, version), "{fetched:?}");
        assert!(fetched.body.contains("the app"), "{fetched:?}");
    }
    let moved = fetch(&http, at, Some(&root), &["--location"]);
    assert_eq!((moved.status, moved.redirects), (200, 1), "HTTP leads there: {moved:?}");
}

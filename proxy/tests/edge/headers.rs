//! What an app and a client get to see (rows L09 and L10 of `proxy/BAD-INPUT.md` among it).

use crate::rig::{App, Edge, HOST};

async fn seen_by_app(edge: &Edge, headers: &str) -> Vec<(String, String)> {
    let answer = edge.get("/api/headers", headers).await;
    assert_eq!(answer.status, 200);
    serde_json::from_value(answer.json()["headers"].clone()).unwrap()
}

fn all<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn an_app_sees_one_trusted_hop_and_no_cookie_of_ours() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let seen = seen_by_app(
        &edge,
        "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\nforwarded: for=6.6.6.6\r\nx-real-ip: 6.6.6.6\r\nproxy: http://x\r\n\
         cookie: a=b; karman=junk; c=d\r\nkeep-alive: timeout=5\r\nte: trailers\r\nx-request-id: mine-1\r\n",
    )
    .await;
    for (name, wanted) in [
        ("host", &[HOST][..]),
        ("x-forwarded-for", &["127.0.0.1"]),
        ("x-real-ip", &["127.0.0.1"]),
        ("x-forwarded-proto", &["http"]),
        ("x-forwarded-host", &[HOST]),
        ("x-request-id", &["mine-1"]),
        ("cookie", &["a=b; c=d"]),
        ("via", &["1.1 karman"]),
        ("forwarded", &[]),
        ("proxy", &[]),
        ("keep-alive", &[]),
        ("te", &[]),
    ] {
        assert_eq!(all(&seen, name), wanted, "{name}");
    }
    assert_eq!(all(&seen, "x-forwarded-port"), [edge.http.port().to_string()]);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_about_the_client_only() {
    let (edge, app) = (Edge::start_with("trusted_proxies: [\"127.0.0.0/8\"]").await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let seen = seen_by_app(&edge, "x-forwarded-for: 6.6.6.6, 203.0.113.7\r\nx-forwarded-proto: https\r\n").await;
    assert_eq!(all(&seen, "x-forwarded-for"), ["203.0.113.7"], "one hop, whatever the chain was");
    assert_eq!(all(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(all(&seen, "x-forwarded-port"), ["443"]);
    let answer = edge.get("/", "x-forwarded-proto: https\r\naccept: text/html\r\n").await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-karman=") && cookie.contains("; Secure"), "{cookie}");
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    assert_eq!(edge.get("/", "x-request-id: abc.1\r\n").await.header("x-request-id"), Some("abc.1"));
    let made = edge.get("/", "x-request-id: not one\r\n").await;
    assert_eq!(made.header("x-request-id").map(str::len), Some(16));
    assert_eq!(made.header("x-karman-instance"), None, "told only if settings ask for it");
    let unknown =
        edge.ask("GET / HTTP/1.1\r\nhost: nobody.example.com\r\nx-request-id: abc.2\r\nconnection: close\r\n\r\n").await;
    assert_eq!((unknown.status, unknown.code(), unknown.header("x-request-id")), (404, "unknown-host", Some("abc.2")));
}

#[tokio::test]
async fn settings_may_ask_that_answers_name_their_instance() {
    let (edge, app) = (Edge::start_with("show_instance: true").await, App::start("a"));
    edge.put_todos(&[("todos-7-a", app.address)]).await;
    assert_eq!(edge.get("/", "").await.header("x-karman-instance"), Some("todos-7-a"));
}

#[tokio::test]
async fn bodies_pass_both_ways_unchanged() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let body = "karman ".repeat(100_000);
    let answer = edge.post("/api/echo", "content-type: text/plain\r\n", &body).await;
    assert_eq!((answer.status, answer.body.len()), (200, body.len()));
    assert!(answer.body == body.as_bytes());
    let large = edge.get("/api/bytes?n=20000000", "").await;
    assert_eq!((large.status, large.body.len()), (200, 20_000_000));
}

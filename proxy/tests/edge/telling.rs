//! Logs, metrics and events.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::rig::{App, Edge, HOST, until};

/// Row L14 of `proxy/BAD-INPUT.md`.
#[tokio::test]
async fn every_request_has_one_line_and_nobody_forges_another() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let hostile = ["/\"},{\"forged\":\"1", "/%0d%0a{}", "/\u{202e}gnp.exe", "/\\n{\"at\":1}", &format!("/{}", "x".repeat(5_000))];
    for (n, path) in hostile.iter().enumerate() {
        let request = format!(
            "GET {path}?token=secret HTTP/1.1\r\nhost: {HOST}\r\nuser-agent: \"\\{{\\\r\nx-request-id: r{n}\r\nconnection: close\r\n\r\n"
        );
        edge.try_ask(&request).await;
    }
    for n in 0..hostile.len() {
        let lines = edge.lines_of(&format!("r{n}"), 1).await;
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["app"], "todos");
    }
    let text = std::fs::read_to_string(edge.dir.path().join("access.log")).unwrap();
    assert_eq!(text.lines().count(), hostile.len());
    assert!(text.lines().all(|line| line.len() < 8_192 && !line.contains('\u{202e}')));
    assert!(!text.contains("secret"), "a query may hold a secret: it is not logged");
}

#[tokio::test]
async fn a_line_has_the_fields_of_the_contract() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let answer = edge.post("/api/echo", "x-request-id: one\r\n", "12345").await;
    assert_eq!(answer.status, 200);
    let line = edge.lines_of("one", 1).await.remove(0);
    for (field, wanted) in [
        ("edge", Value::from("edge-1")),
        ("app", "todos".into()),
        ("owner", "todos".into()),
        ("release", 0.into()),
        ("instance", "a".into()),
        ("host", HOST.into()),
        ("method", "POST".into()),
        ("path", "/api/echo".into()),
        ("status", 200.into()),
        ("caller", "api".into()),
        ("client", "127.0.0.1".into()),
        ("bytes_in", 5.into()),
        ("sticky", "new".into()),
        ("tries", 1.into()),
        ("generation", 1.into()),
    ] {
        assert_eq!(line[field], wanted, "{field} in {line}");
    }
    for part in ["connect", "first_byte", "total"] {
        assert!(line["ms"][part].is_number(), "{part} in {line}");
    }
}

#[tokio::test]
async fn metrics_count_what_happened_and_forget_apps_that_are_gone() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    for _ in 0..3 {
        edge.get("/", "").await;
    }
    edge.get("/api/status?code=404", "").await;
    for n in 0..50 {
        edge.ask(&format!("GET /{n} HTTP/1.1\r\nhost: random{n}.example.org\r\nconnection: close\r\n\r\n")).await;
    }
    let socket = edge.socket_at("/websocket", &[]).await.unwrap();
    let metrics = edge.probe("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = metrics.text();
    for line in [
        r#"karman_requests_total{app="todos",class="2xx"} 3"#,
        r#"karman_requests_total{app="todos",class="4xx"} 1"#,
        r#"karman_requests_total{app="todos",class="1xx"} 1"#,
        r#"karman_requests_total{app="_unknown",class="4xx"} 50"#,
        r#"karman_refusals_total{app="_unknown",code="unknown-host"} 50"#,
        r#"karman_sockets{app="todos"} 1.0"#,
        r#"karman_sockets_opened_total{app="todos"} 1"#,
        r#"karman_request_seconds_count{app="todos"} 5"#,
        r#"karman_instances{state="up"} 1.0"#,
        r#"karman_document_generation{document="apps"} 1.0"#,
        r#"karman_build_info{version="0.1.0"} 1"#,
        "karman_log_dropped_total 0",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    assert!(!text.contains("random"), "hosts that nobody has are one bucket");
    drop(socket);
    let closed = r#"karman_sockets_closed_total{app="todos",by="client"} 1"#;
    until("the socket is counted as closed", async || edge.probe("/metrics").await.text().contains(closed)).await;
    assert_eq!(edge.admin("PUT", "/v1/apps", r#"{"generation":2,"apps":{}}"#).await.status, 200);
    assert!(!edge.probe("/metrics").await.text().contains("todos"));
}

/// Reads events of the stream until one is called `name`.
async fn event(lines: &mut tokio::io::Lines<BufReader<UnixStream>>, name: &str) -> Value {
    let wait = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(json) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(json).unwrap();
                if event["event"] == name {
                    return event;
                }
            }
        }
        panic!("the stream ended before {name}")
    };
    tokio::time::timeout(crate::rig::SOON, wait).await.unwrap_or_else(|_| panic!("no event {name}"))
}

async fn follow(edge: &Edge, last: u64) -> tokio::io::Lines<BufReader<UnixStream>> {
    let mut stream = UnixStream::connect(edge.socket()).await.unwrap();
    let request = format!("GET /v1/events HTTP/1.1\r\nhost: admin\r\nlast-event-id: {last}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(stream).lines()
}

#[tokio::test]
async fn events_tell_what_changed_and_can_be_resumed() {
    let (edge, mut app) = (Edge::start().await, App::start("a"));
    let mut events = follow(&edge, 0).await;
    event(&mut events, "edge-ready").await;
    edge.put_todos(&[("a", app.address)]).await;
    let applied = event(&mut events, "document-applied").await;
    assert_eq!((applied["generation"].as_u64(), applied["edge"].as_str()), (Some(1), Some("edge-1")));
    edge.admin("PUT", "/v1/apps", r#"{"generation":0,"apps":{}}"#).await;
    assert!(event(&mut events, "document-refused").await["cause"].as_str().unwrap().contains("older"));
    app.kill();
    edge.get("/", "").await;
    let down = event(&mut events, "app-down").await;
    assert_eq!((down["app"].as_str(), down["code"].as_str()), (Some("todos"), Some("app-down")));
    app.start_again();
    let up = event(&mut events, "app-up").await;
    assert!(up["since"].is_string(), "{up}");
    let mut again = follow(&edge, down["id"].as_u64().unwrap()).await;
    assert_eq!(event(&mut again, "app-up").await["id"], up["id"]);
    assert_eq!(event(&mut follow(&edge, 999_999).await, "reset").await["event"], "reset");
}

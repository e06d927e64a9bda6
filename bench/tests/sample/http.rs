//! Plain HTTP: the page where Meteor has it, and the answers on demand.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http_client::{ask, begin, get, post};
use super::process::{Sample, soon};

#[tokio::test]
async fn every_unknown_path_is_the_page() {
    let sample = Sample::start().await;
    for path in ["/", "/any/deep/path", "/missing.png", "/sockjsinfo", "/api/unknown"] {
        let page = get(&sample, path).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert_eq!(page.header("cache-control"), "", "{path}");
        assert!(page.text().contains(r#"id="instance""#), "{path}");
    }
    let head = ask(&sample, "HEAD", "/", &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    let wrong = post(&sample, "/", "x").await;
    assert_eq!((wrong.status.as_u16(), wrong.header("allow")), (405, "OPTIONS, GET, HEAD"));
}

#[tokio::test]
async fn what_asks_for_no_socket_or_for_a_proxy_is_refused() {
    let sample = Sample::start().await;
    for path in ["/websocket", "/sockjs/websocket", "/sockjs/1/2/websocket"] {
        let refused = get(&sample, path).await;
        assert_eq!((refused.status.as_u16(), refused.text()), (400, "Not a valid websocket request"), "{path}");
    }
    let mut stream = TcpStream::connect(&sample.address).await.unwrap();
    stream.write_all(b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("Not a proxy"), "{answer}");
}

#[tokio::test]
async fn it_says_who_answers_and_what_arrived() {
    let sample = Sample::start_with(&["--instance", "todos-3-b", "--release", "3"]).await;
    let identity = json!({ "instance": "todos-3-b", "release": 3, "pid": sample.id() });
    assert_eq!(get(&sample, "/api/instance").await.json(), identity);
    assert_eq!(get(&sample, "/healthz").await.status, 200);

    let seen = ask(&sample, "PUT", "/api/headers?a=1", &[("x-forwarded-for", "192.0.2.1"), ("accept", "*/*")], "").await.json();
    assert_eq!((&seen["method"], &seen["path"]), (&json!("PUT"), &json!("/api/headers?a=1")));
    let pairs = seen["headers"].as_array().unwrap();
    assert!(pairs.contains(&json!(["x-forwarded-for", "192.0.2.1"])), "{seen}");
    assert!(pairs.contains(&json!(["host", sample.address])), "{seen}");
}

#[tokio::test]
async fn it_answers_on_demand() {
    let sample = Sample::start().await;
    let body = vec![7; 300_000];
    let echoed = ask(&sample, "POST", "/api/echo", &[("content-type", "x/y")], body.clone()).await;
    assert_eq!((echoed.header("content-type"), echoed.header("content-length")), ("x/y", "300000"));
    assert_eq!(echoed.body, body);
    assert_eq!(get(&sample, "/api/echo").await.status, 405);

    let bytes = get(&sample, "/api/bytes?n=200001").await;
    assert_eq!((bytes.header("content-length"), bytes.body.len()), ("200001", 200_001));
    assert_eq!(get(&sample, "/api/slow?ms=1").await.text(), "after 1 ms\n");
    let drops = get(&sample, "/api/slow?ms=30&chunks=2").await;
    assert_eq!((drops.header("content-length"), drops.text()), ("", "chunk 1 of 2\nchunk 2 of 2\n"));
    begin(&sample, "GET", "/api/slow?ms=600000&chunks=2", &[], "").await; // its head does not wait

    for code in [204, 302, 404, 500, 599] {
        assert_eq!(get(&sample, &format!("/api/status?code={code}")).await.status, code);
    }
    let cookie = get(&sample, "/api/set-cookie?cache=public").await;
    assert_eq!((cookie.header("set-cookie"), cookie.header("cache-control")), ("sample=1; Path=/", "public, max-age=60"));
    assert_eq!(get(&sample, "/api/set-cookie").await.header("cache-control"), "");
}

#[tokio::test]
async fn a_demand_out_of_bounds_is_refused() {
    let sample = Sample::start().await;
    for path in [
        "/api/bytes?n=67108865",
        "/api/bytes?n=-1",
        "/api/slow?ms=600001",
        "/api/slow?ms=1&chunks=10001",
        "/api/status?code=101",
        "/api/status?code=600",
        "/api/status?code=x",
    ] {
        let refused = get(&sample, path).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.text().starts_with("wanted "), "{path}: {}", refused.text());
    }
}

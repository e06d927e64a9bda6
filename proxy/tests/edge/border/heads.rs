//! Rows H01 to H23, L08 and L10: the request line and the fields.

use super::{Border, refused, refused_as, served};

/// A GET with these lines between `Host` and the end.
fn get(lines: &str) -> String {
    format!("GET /x HTTP/1.1\r\nhost: todos.example.com\r\nconnection: close\r\n{lines}\r\n")
}

/// A request with this request line.
fn line(line: &str) -> String {
    format!("{line}\r\nhost: todos.example.com\r\nconnection: close\r\n\r\n")
}

fn host(field: &str) -> String {
    format!("GET / HTTP/1.1\r\n{field}connection: close\r\n\r\n")
}

#[tokio::test]
async fn one_host_that_is_a_host() {
    let mut cases = vec![
        refused("H01", host("")),
        refused("H02", host("host: todos.example.com\r\nhost: todos.example.com\r\n")),
        refused("H02", host("host: todos.example.com\r\nHost: other.example.com\r\n")),
        refused_as("H03", host("host: [::1]:80\r\n"), 404, "unknown-host"),
        served("H03", host("host: TODOS.example.com.:80\r\n"), ["host: todos.example.com.:80"], []),
        refused("H04", "GET http://other.example.com/ HTTP/1.1\r\nhost: todos.example.com\r\n\r\n"),
        refused("H04", "GET http://todos.example.com@evil/ HTTP/1.1\r\nhost: todos.example.com\r\n\r\n"),
        refused("H04", "GET ftp://todos.example.com/ HTTP/1.1\r\nhost: todos.example.com\r\n\r\n"),
        served("H05", line("GET http://todos.example.com/x?y=z HTTP/1.1"), ["get /x?y=z http/1.1"], ["http://"]),
        refused("H05", line("OPTIONS * HTTP/1.1")),
        refused_as(
            "H05",
            "CONNECT todos.example.com:443 HTTP/1.1\r\nhost: todos.example.com:443\r\n\r\n",
            405,
            "method-not-allowed",
        ),
    ];
    for bad in [
        "",
        "a/b",
        "user@todos.example.com",
        "todos.example.com, b",
        "todos example.com",
        "todos.example.com:99999",
        "[::1",
        "a:b:c",
    ] {
        cases.push(refused("H03", host(&format!("host: {bad}\r\n"))));
    }
    Border::start().await.check(cases).await;
}

#[tokio::test]
async fn a_request_line_says_one_thing_only() {
    let mut cases = vec![
        refused_as("H06", line("TRACE / HTTP/1.1"), 405, "method-not-allowed"),
        refused_as("H06", "OPTIONS / HTTP/1.1\r\nhost: todos.example.com\r\nmax-forwards: 0\r\n\r\n", 405, "method-not-allowed"),
        served("H06", get("max-forwards: 0\r\n"), ["get /x "], []),
        served("H07", line("get / HTTP/1.1"), [], []),
        served("H07", line("FOO / HTTP/1.1"), ["foo / "], []),
        served("H08", "GET / HTTP/1.0\r\nhost: todos.example.com\r\n\r\n", ["get / http/1.1"], []),
        served("H10", line("GET /?a\\b HTTP/1.1"), ["get /?a\\b "], []),
    ];
    for (row, bad) in [
        ("H07", "G{ET / HTTP/1.1"),
        ("H07", "G\u{e9}T / HTTP/1.1"),
        ("H08", "GET /"),
        ("H08", "GET / HTTP/9.9"),
        ("H08", "GET / HTTP/2.0"),
        ("H08", "GET / http/1.1"),
        ("H08", "GET / HTTP/1.2"),
        ("H08", "GET / HTTP/1.10"),
        ("H09", "GET  / HTTP/1.1"),
        ("H09", "GET\t/ HTTP/1.1"),
        ("H09", "GET / HTTP/1.1 "),
        ("H09", "GET /x y HTTP/1.1"),
        ("H09", "GET /\t HTTP/1.1"),
        ("H10", "GET /#a HTTP/1.1"),
        ("H10", "GET /a\\..\\b HTTP/1.1"),
        ("H10", "GET x HTTP/1.1"),
        ("H10", "GET ?a HTTP/1.1"),
        ("H11", "GET /\0 HTTP/1.1"),
        ("H11", "GET /\u{1b}[31m HTTP/1.1"),
        ("H11", "GET /\u{7f} HTTP/1.1"),
        ("H11", "GET /\u{ff} HTTP/1.1"),
    ] {
        cases.push(refused(row, line(bad)));
    }
    for (target, seen) in [
        ("/../../etc/passwd", "get /../../etc/passwd http/1.1"),
        ("/%2e%2e/%2F%00", "get /%2e%2e/%2f%00 http/1.1"),
        ("/%0d%0aX: y/%c0%af", ""),
        ("//evil.example/x", "get //evil.example/x http/1.1"),
        ("/a;b|c[d]{e}^f?\"", ""),
        ("/a;b|c[d]{e}^f", "get /a;b|c[d]{e}^f http/1.1"),
        ("/%0d%0ax:y/%c0%af", "get /%0d%0ax:y/%c0%af http/1.1"),
    ] {
        let sends = line(&format!("GET {target} HTTP/1.1"));
        cases.push(if seen.is_empty() { refused("H12", sends) } else { served("H12", sends, [seen], []) });
    }
    Border::start().await.check(cases).await;
}

#[tokio::test]
async fn a_field_is_a_name_and_a_value_on_one_line() {
    let mut cases = vec![
        refused("H13", "GET / HTTP/1.1\r\n host: todos.example.com\r\n\r\n"),
        refused("H14", get("x: a\r\n b\r\n")),
        refused("H14", get("transfer-encoding:\r\n chunked\r\n")),
        refused("H15", get("x: a\0b\r\n")),
        refused("H15", get("x: a\rX-Evil: b\r\n")),
        refused("H15", get("x: \u{1b}[31m\r\n")),
        refused("H16", "GET / HTTP/1.1\nhost: todos.example.com\n\n"),
        refused("H16", get("x: a\n")),
        served(
            "H18",
            get("X_Forwarded_For: 6.6.6.6\r\nx-forwarded_proto: https\r\nx_mine: 1\r\n"),
            ["x_mine: 1"],
            ["6.6.6.6", "https"],
        ),
        served("H18", get("Transfer_Encoding: chunked\r\nContent_Length: 5\r\n"), [], ["transfer", "content"]),
        served("L08", get("connection: x-once, close\r\nx-once: 1\r\nkeep-alive: 5\r\n"), [], ["x-once", "keep-alive"]),
        served("L10", get("Proxy: http://evil/\r\n"), [], ["evil"]),
    ];
    for bad in ["host : x", ": empty", "no colon", "n{me: x", "n\u{e9}me: x", "x y: z"] {
        cases.push(refused("H13", get(&format!("{bad}\r\n"))));
    }
    for bad in ["Host", "cookie", "close, X-Forwarded-For", "Authorization", "\"x\"", &"x, ".repeat(1_000)] {
        cases.push(refused("L08", get(&format!("connection: {bad}\r\n"))));
    }
    let mut obs_text = get("x: ").trim_end_matches("\r\n").as_bytes().to_vec();
    obs_text.extend_from_slice(b"\xff\r\n\r\n");
    cases.push(served("H17", obs_text, ["x: \u{fffd}"], []));
    Border::start().await.check(cases).await;
}

#[tokio::test]
async fn a_head_has_a_size() {
    let fields = |count: usize| get(&"x: y\r\n".repeat(count));
    let cases = vec![
        served("H19", fields(98), ["x: y"], []),
        refused_as("H19", fields(99), 431, "headers-too-large"),
        refused_as("H19", fields(2_000), 431, "headers-too-large"),
        served("H19", get(&format!("cookie: a={}\r\n", "b".repeat(32_000))), ["cookie: a=bbb"], []),
        refused_as("H19", get(&format!("cookie: a={}\r\n", "b".repeat(33_000))), 431, "headers-too-large"),
        refused_as("H19", get(&format!("x: {}\r\n", "b".repeat(200_000))), 431, "headers-too-large"),
        served("H20", line(&format!("GET /{} HTTP/1.1", "x".repeat(8_000))), [], []),
        refused_as("H20", line(&format!("GET /{} HTTP/1.1", "x".repeat(16_000))), 414, "uri-too-long"),
        refused_as("H20", line(&format!("GET /{} HTTP/1.1", "x".repeat(100_000))), 414, "uri-too-long"),
        served("H21", format!("\r\n{}", get("")), ["get /x"], []),
        refused("H21", format!("{}{}", "\r\n".repeat(1_000), get(""))),
    ];
    Border::start().await.check(cases).await;
}

/// They are told at once, and not when the time for a head is over: `converse` waits less than that.
#[tokio::test]
async fn who_speaks_something_else_is_told_at_once() {
    let mut border = Border::start_with("limits: {head_seconds: 300}").await;
    let cases = vec![
        refused("H22", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        refused("H22", b"\x00\x01\x02\x03\x04\x05"),
        refused("H22", b"\x80\x2e\x01\x00\x02"),
        refused("H22", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        refused("L11", "PROXY TCP4 6.6.6.6 127.0.0.1 1 80\r\nGET / HTTP/1.1\r\nhost: todos.example.com\r\n\r\n"),
        refused("L11", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"),
        refused("H22", "{\"jsonrpc\":\"2.0\"}"),
        refused("S20", "GET / HTTP/1.1\rhost: todos.example.com\r\r\r\n\r\n"),
    ];
    border.check(cases).await;
}

#[tokio::test]
async fn the_page_for_a_browser_whose_cookies_have_grown() {
    let border = Border::start().await;
    let request = get(&format!("accept: text/html\r\ncookie: a={}\r\n", "b".repeat(40_000)));
    let answer = super::rig::converse(border.edge.http, request.as_bytes()).await.answer().unwrap();
    assert_eq!((answer.status, answer.code()), (431, "headers-too-large"));
    assert!(answer.text().contains("<!doctype html>"), "{}", answer.text());
    let line = &border.edge.lines_of(answer.header("x-request-id").unwrap(), 1).await[0];
    assert_eq!((line["app"].as_str(), line["host"].as_str()), (Some("todos"), Some("todos.example.com")));
    assert_eq!(
        (line["method"].as_str(), line["path"].as_str(), line["why"].as_str()),
        (Some("GET"), Some("/x"), Some("more bytes of fields than allowed"))
    );
}

//! Documents that come in while traffic flows.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{App, Edge, HOST, Load};

#[tokio::test]
async fn a_thousand_deltas_close_no_socket_and_fail_no_request() {
    const SOCKETS: usize = 500;
    const DELTAS: u64 = 1_000;
    let (edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    edge.put_todos(&[("a", a.address), ("b", b.address)]).await;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(edge.socket_at("/websocket", &[]).await.unwrap());
    }
    let load = Load::start(edge.http);
    let first = edge.generation().await;
    for n in 0..DELTAS {
        let (base, generation) = (first + n, first + n + 1);
        // Neighbours come, change and go; the app itself changes too. Its instances stay: one that left would be drained.
        let third = if n % 4 == 0 {
            String::new()
        } else {
            format!(r#","c":{{"address":"127.0.0.1:{}","state":"starting"}}"#, 1 + n % 9)
        };
        let instances =
            format!(r#"{{"a":{{"address":"{}"}},"b":{{"address":"{}","release":{n}}}{third}}}"#, a.address, b.address);
        let neighbour = format!(r#""n{}":{{"hosts":["n{}.example.com"],"instances":{{}}}}"#, n % 7, n % 7);
        let remove = if n % 5 == 4 { format!(r#""n{}""#, (n + 1) % 7) } else { String::new() };
        let delta = format!(
            r#"{{"generation":{generation},"base":{base},"put":{{"todos":{{"hosts":["{HOST}"],"instances":{instances}}},{neighbour}}},"remove":[{remove}]}}"#
        );
        let answer = edge.admin("PATCH", "/v1/apps", &delta).await;
        assert_eq!(answer.status, 200, "delta {n}: {}", answer.text());
    }
    assert_eq!(load.failed(), 0, "of {} requests", load.served());
    assert!(load.served() > 100, "there was load: {}", load.served());
    load.stop().await;
    for ws in &mut sockets {
        ws.socket.send(Message::text(r#"{"msg":"connect","version":"1","support":["1"]}"#)).await.unwrap();
        let answer = ws.socket.next().await.unwrap().unwrap();
        assert!(answer.to_text().unwrap().contains("connected"), "{answer}");
    }
    assert_eq!(edge.admin("GET", "/v1/status", "").await.json()["tunnels"], SOCKETS);
}

#[tokio::test]
async fn a_change_is_live_when_it_is_answered() {
    let (edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    for n in 0..20 {
        let app = if n % 2 == 0 { &a } else { &b };
        edge.put_todos(&[(&app.name, app.address)]).await;
        assert_eq!(edge.get("/api/instance", "").await.json()["instance"], *app.name, "after change {n}");
    }
}

/// Each bad document gets its stated refusal with every reason, and traffic does not notice.
#[tokio::test]
async fn bad_documents_are_refused_by_name_and_change_nothing() {
    let (edge, a) = (Edge::start_with("limits: {admin_body_bytes: 1048576}").await, App::start("a"));
    edge.put_todos(&[("a", a.address)]).await;
    let put = |apps: &str| format!(r#"{{"generation":9,"apps":{{{apps}}}}}"#);
    let good = format!(r#""todos":{{"hosts":["{HOST}"],"instances":{{}}}}"#);
    let twice = r#""x":{"hosts":["h.example.com"],"instances":{}},"y":{"hosts":["h.example.com"],"instances":{}}"#;
    let many: Vec<_> = (0..12).map(|n| format!(r#""m{n}":{{"hosts":["m{n}.example.com"],"instances":{{}}}}"#)).collect();
    for (what, method, body, status, error, says) in [
        ("broken", "PUT", r#"{"generation":9,"apps":{"#.to_owned(), 400, "malformed", r#""line":1"#),
        ("stale", "PUT", r#"{"generation":0,"apps":{}}"#.to_owned(), 409, "stale", r#""current":{"epoch":0,"generation":1}"#),
        (
            "same generation",
            "PUT",
            r#"{"generation":1,"apps":{}}"#.to_owned(),
            409,
            "stale",
            r#""attempted":{"epoch":0,"generation":1}"#,
        ),
        ("wrong base", "PATCH", r#"{"generation":9,"base":7}"#.to_owned(), 412, "base-mismatch", r#""generation":1"#),
        ("one host twice", "PUT", put(twice), 422, "refused", r#""at":"apps.y.hosts[0]""#),
        ("too large", "PUT", put(&format!("{good}{}", " ".repeat(1_100_000))), 413, "too-large", "1048576"),
        ("wrong field", "PUT", put(&good.replace("instances", "instancs")), 422, "refused", "apps.todos.instancs"),
        (
            "wrong field, every reason",
            "PUT",
            put(&good.replace("instances", "instancs")),
            422,
            "refused",
            "the field 'instances' is required",
        ),
    ] {
        let answer = edge.admin(method, "/v1/apps", &body).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{what}: {}", answer.text());
        assert!(answer.text().contains(says), "{what}: {}", answer.text());
        assert_eq!(edge.get("/api/instance", "").await.status, 200, "traffic after: {what}");
        assert_eq!(edge.generation().await, 1, "{what} changed nothing");
    }
    assert_eq!(edge.admin("PUT", "/v1/apps", &put(&format!("{good},{}", many.join(",")))).await.status, 200);
    let gone = edge.admin("PUT", "/v1/apps", r#"{"generation":10,"apps":{}}"#).await;
    assert_eq!((gone.status, gone.json()["error"].as_str()), (428, Some("mass-removal")));
    assert_eq!(edge.admin("PUT", "/v1/apps", r#"{"generation":10,"apps":{},"force":true}"#).await.status, 200);
    assert_eq!(edge.get("/", "").await.code(), "unknown-host");
}

#[tokio::test]
async fn calls_that_do_not_exist_say_what_does() {
    let edge = Edge::start().await;
    assert_eq!(edge.admin("GET", "/v1/nonsense", "").await.status, 404);
    let wrong = edge.admin("DELETE", "/v1/apps", "").await;
    assert_eq!((wrong.status, wrong.json()["allowed"][0].as_str()), (405, Some("GET")));
    assert_eq!(edge.admin("GET", "/v1/apps/nobody", "").await.json()["error"], "not-found");
}

#[tokio::test]
async fn a_page_of_no_number_of_items_is_refused() {
    let edge = Edge::start().await;
    for list in ["apps", "certificates"] {
        let wrong = edge.admin("GET", &format!("/v1/{list}?limit=ten"), "").await;
        assert_eq!((wrong.status, wrong.json()["reasons"][0]["why"].as_str()), (422, Some("found 'ten', wanted a whole number")));
    }
}

#[tokio::test]
async fn the_document_can_be_read_back_in_pages() {
    let edge = Edge::start().await;
    let apps: Vec<_> = (0..25).map(|n| format!(r#""app-{n:02}":{{"hosts":["h{n}.example.com"],"instances":{{}}}}"#)).collect();
    assert_eq!(edge.admin("PUT", "/v1/apps", &format!(r#"{{"generation":3,"apps":{{{}}}}}"#, apps.join(","))).await.status, 200);
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let page = edge.admin("GET", &format!("/v1/apps?after={after}&limit=10"), "").await.json();
        assert_eq!(page["generation"], 3);
        seen.extend(page["apps"].as_object().unwrap().keys().cloned());
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).map(|n| format!("app-{n:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_owners_own_page_is_served_filled_in_and_escaped() {
    let edge = Edge::start().await;
    let page = "<h1>{{app}} {{code}}</h1> {{host}} {{request_id}} {{unknown}}";
    let hash = karman_contract::name::ContentHash::of(page.as_bytes());
    let pages = serde_json::json!({"generation": 1, "pages": {hash.to_string(): page}});
    assert_eq!(edge.admin("PUT", "/v1/pages", &pages.to_string()).await.status, 200);
    edge.put_app("{}", &format!(r#","pages":{{"app-down":"{hash}"}}"#)).await;
    let answer = edge.get("/", "accept: text/html\r\nx-request-id: r1\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "<h1>todos app-down</h1> todos.example.com r1 {{unknown}}"));
    let wrong = serde_json::json!({"generation": 2, "pages": {hash.to_string(): "other text"}});
    assert_eq!(edge.admin("PUT", "/v1/pages", &wrong.to_string()).await.json()["error"], "refused");
}

#[tokio::test]
async fn a_confirm_says_which_documents_differ() {
    let edge = Edge::start().await;
    edge.put_app("{}", "").await;
    let hash = edge.admin("GET", "/v1/status", "").await.json()["documents"]["apps"]["hash"].as_str().unwrap().to_owned();
    let confirm =
        async |hash: &str| edge.admin("POST", "/v1/confirm", &format!(r#"{{"apps":{{"generation":1,"hash":"{hash}"}}}}"#)).await;
    let wrong = confirm("00").await;
    assert_eq!((wrong.status, wrong.json()["differs"][0].as_str()), (409, Some("apps")));
    assert_eq!(confirm(&hash).await.status, 200);
    assert!(edge.admin("GET", "/v1/status", "").await.json()["documents"]["apps"]["confirmed_at"].is_string());
}

//! The same client at the same instance, with cookies and without (row L16 of `proxy/BAD-INPUT.md` too).

use std::collections::{BTreeMap, BTreeSet};

use crate::rig::{Answer, App, Edge, instances_json};

fn instance(answer: &Answer) -> String {
    answer.json()["instance"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

async fn two_instances() -> (Edge, App, App) {
    let (edge, a, b) = (Edge::start().await, App::start("a"), App::start("b"));
    edge.put_todos(&[("a", a.address), ("b", b.address)]).await;
    (edge, a, b)
}

#[tokio::test]
async fn a_cookie_binds_a_client_and_is_set_once() {
    let (edge, _a, _b) = two_instances().await;
    let mut served = BTreeSet::new();
    for _ in 0..8 {
        let first = edge.get("/api/instance", "").await;
        let cookie = first.cookie().expect("a new client is bound");
        assert!(first.header("set-cookie").unwrap().ends_with("; Path=/; HttpOnly; SameSite=Lax"));
        for _ in 0..5 {
            let next = edge.get("/api/instance", &format!("cookie: x=y; {cookie}\r\n")).await;
            assert_eq!(instance(&next), instance(&first));
            assert_eq!(next.header("set-cookie"), None, "nothing changed");
        }
        served.insert(instance(&first));
    }
    assert_eq!(served.len(), 2, "new clients go to both");
}

#[tokio::test]
async fn a_forged_cookie_is_no_cookie() {
    let (edge, _a, _b) = two_instances().await;
    for forged in ["karman=", "karman=AAAA", "karman=AQAAAAAAAAAAPiPoFgA5WUo6m-CCldHQ-VPZ3CvsacjP", "karmann=x"] {
        let answer = edge.get("/api/instance", &format!("cookie: {forged}\r\n")).await;
        assert_eq!(answer.status, 200);
        assert!(answer.cookie().is_some(), "{forged} is answered with a new one");
    }
}

#[tokio::test]
async fn what_a_shared_cache_may_keep_and_what_is_an_asset_binds_nobody() {
    let (edge, _a, _b) = two_instances().await;
    let cached = edge.get("/api/set-cookie?cache=public", "accept: text/html\r\n").await;
    assert_eq!(cached.status, 200);
    assert!(
        cached.headers.iter().all(|(name, value)| name != "set-cookie" || !value.starts_with("karman=")),
        "{:?}",
        cached.headers
    );
    assert_eq!(edge.get("/app.js", "accept: */*\r\n").await.cookie(), None);
    assert!(edge.get("/", "accept: text/html\r\n").await.cookie().is_some());
}

#[tokio::test]
async fn sticky_none_sets_no_cookie() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    edge.put_app(&instances_json(&[("a", a.address)]), r#","sticky":"none""#).await;
    assert_eq!(edge.get("/", "accept: text/html\r\n").await.cookie(), None);
}

#[tokio::test]
async fn a_sockjs_session_without_cookies_stays_at_one_instance() {
    let (edge, _a, _b) = two_instances().await;
    let mut by_instance = BTreeMap::new();
    for n in 0..20 {
        let path = format!("/sockjs/123/session{n}");
        // The first poll opens the session; a send to another instance would be 404.
        let opened = edge.post(&format!("{path}/xhr"), "", "").await;
        assert_eq!((opened.status, opened.text().as_str()), (200, "o\n"));
        let message = r#"["{\"msg\":\"connect\",\"version\":\"1\",\"support\":[\"1\"]}"]"#;
        let sent = edge.post(&format!("{path}/xhr_send"), "", message).await;
        assert_eq!(sent.status, 204, "session {n}: {}", sent.text());
        let polled = edge.post(&format!("{path}/xhr"), "", "").await;
        assert!(polled.text().contains("connected"), "{}", polled.text());
        let id = polled.header("x-request-id").unwrap();
        let line = &edge.lines_of(id, 1).await[0];
        assert_eq!(line["caller"], "sockjs");
        *by_instance.entry(line["instance"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(by_instance.len(), 2, "{by_instance:?}");
}

#[tokio::test]
async fn a_client_whose_instance_is_gone_or_drains_gets_another_and_a_new_cookie() {
    let (edge, a, b) = two_instances().await;
    let first = edge.get("/api/instance", "").await;
    let cookie = first.cookie().unwrap();
    let (own, other) = if instance(&first) == "a" { (&a, &b) } else { (&b, &a) };
    let list = |state: &str| {
        format!(
            r#"{{"{}":{{"address":"{}","state":"{state}"}},"{}":{{"address":"{}"}}}}"#,
            own.name, own.address, other.name, other.address
        )
    };
    let sticky = async |edge: &Edge| {
        let answer = edge.get("/api/instance", &format!("cookie: {cookie}\r\n")).await;
        let line = edge.lines_of(answer.header("x-request-id").unwrap(), 1).await.remove(0);
        (instance(&answer), answer.cookie().is_some(), line["sticky"].as_str().unwrap().to_owned())
    };
    assert_eq!(sticky(&edge).await, (own.name.clone(), false, "hit".to_owned()));
    edge.put_app(&list("draining"), r#","drain":{"sticky":"keep"}"#).await;
    assert_eq!(sticky(&edge).await, (own.name.clone(), false, "hit".to_owned()), "keep: those who are bound stay");
    edge.put_app(&list("draining"), "").await;
    assert_eq!(sticky(&edge).await, (other.name.clone(), true, "moved".to_owned()));
    edge.put_todos(&[(&other.name, other.address)]).await;
    assert_eq!(sticky(&edge).await, (other.name.clone(), true, "lost".to_owned()));
}

//! Addresses that fail while nobody confirms the apps.

use std::time::{Duration, Instant};

use karman_faults::{OK, Scripted};
use tokio::io::AsyncWriteExt;

use crate::drains::ends;
use crate::rig::{App, Edge, until};

/// What whoever publishes the apps says of those that the edge has.
async fn confirmation(edge: &Edge) -> String {
    let apps = edge.admin("GET", "/v1/status", "").await.json()["documents"]["apps"].clone();
    serde_json::json!({"apps": {"generation": apps["generation"], "hash": apps["hash"]}}).to_string()
}

#[tokio::test]
async fn an_instance_that_reset_a_connection_is_used_again_only_once_the_apps_are_confirmed() {
    // Every first of three connections is reset when it has asked.
    let app = Scripted::start(|n, mut stream, heads| async move {
        heads.read(&mut stream).await;
        if n % 3 == 0 {
            let _ = stream.set_zero_linger();
            return;
        }
        let _ = stream.write_all(OK).await;
    });
    let edge = Edge::start_with("limits: {unconfirmed_seconds: 2}").await;
    edge.put_todos(&[("a", app.address)]).await;
    assert_eq!(edge.post("/0", "", "").await.code(), "instance-reset");
    assert_eq!(edge.get("/1", "").await.status, 200, "a reset alone is no reason to give it up");
    assert_eq!(edge.get("/2", "").await.status, 200);

    let metric = "karman_document_unconfirmed{document=\"apps\"} 1";
    until("the apps are unconfirmed", async || edge.probe("/metrics").await.text().contains(metric)).await;
    assert_eq!(edge.post("/3", "", "").await.code(), "instance-reset", "they are served on");
    assert_eq!(edge.instance("a").await["health"], "down");
    for _ in 0..3 {
        assert_eq!(edge.get("/", "").await.code(), "app-down");
    }
    assert_eq!(app.count(), 4, "it was asked nothing more");

    let apps = edge.admin("GET", "/v1/status", "").await.json()["documents"]["apps"].clone();
    assert_eq!(apps["unconfirmed"], true);
    assert_eq!(edge.admin("POST", "/v1/confirm", &confirmation(&edge).await).await.status, 200);
    until("it is used again", async || edge.get("/4", "").await.status == 200).await;
    assert!(edge.admin("GET", "/v1/status", "").await.json()["documents"]["apps"]["unconfirmed"].is_null());
}

/// An instance that dies under tunnels of a previous process is not given up there, so their clients go back to it at once.
#[tokio::test]
async fn a_previous_process_hears_that_the_apps_are_confirmed() {
    const UNCONFIRMED: Duration = Duration::from_secs(5);
    let (mut edge, mut a) = (Edge::start_with("limits: {unconfirmed_seconds: 5}").await, App::start("a"));
    edge.put_todos(&[("a", a.address)]).await;
    let socket = edge.socket_at("/websocket", &[]).await.unwrap();
    let _previous = edge.upgrade().await;
    let (start, confirm) = (Instant::now(), confirmation(&edge).await);
    while start.elapsed() < UNCONFIRMED + Duration::from_secs(2) {
        assert_eq!(edge.admin("POST", "/v1/confirm", &confirm).await.status, 200);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    a.kill();
    until("its client is held", async || edge.instance("a").await["tunnels"] == 0).await;
    a.start_again();
    let times = ends(vec![socket], Instant::now()).await;
    assert!(times[0] < Duration::from_secs(15), "not at the end of the time that it may be held, 30 s: {times:?}");
}

//! Addresses that fail while nobody confirms the apps.

use karman_faults::{OK, Scripted};
use tokio::io::AsyncWriteExt;

use crate::rig::{Edge, until};

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
    let confirm = serde_json::json!({"apps": {"generation": apps["generation"], "hash": apps["hash"]}});
    assert_eq!(edge.admin("POST", "/v1/confirm", &confirm.to_string()).await.status, 200);
    until("it is used again", async || edge.get("/4", "").await.status == 200).await;
    assert!(edge.admin("GET", "/v1/status", "").await.json()["documents"]["apps"]["unconfirmed"].is_null());
}

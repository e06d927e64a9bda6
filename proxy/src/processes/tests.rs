//! What is said of an edge before its previous processes were looked for: nothing.

use futures_util::FutureExt;

use super::*;

#[tokio::test]
async fn nothing_is_said_of_the_edge_before_the_others_were_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let processes = Arc::new(Processes::new(&dir.path().join("admin.sock"), Arc::new(Live::new(Apps::default()))));
    let of = Which { app: "todos".parse().unwrap(), instance: "a".parse().unwrap(), address: "127.0.0.1:1".parse().unwrap() };
    assert!(processes.hold(&of).unsure, "one may hold it that is not known yet");
    let mut asked = Box::pin(processes.ask());
    assert!(asked.as_mut().now_or_never().is_none(), "whoever asks waits");

    assert_eq!(processes.find().await.unwrap().len(), 0);
    asked.await;
    assert!(processes.hold(&of).is_nothing());
}

//! When an instance dies under its tunnels: their clients are kept, and let go where there is somebody.
//!
//! A Meteor client whose socket closes is back within 10 ms, all of them at once; and if nobody is
//! there, it is late by its own back-off. A client whose socket stays open notices nothing for 32 s.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::admission::takes_per_second;
use crate::clock;
use crate::edge::Edge;
use crate::exchange::Counted;
use crate::table::App;
use crate::tunnel::{Orphan, Tunnel};

/// Keeps the client until it leaves, is let go, or the time is up.
pub(super) async fn hold(edge: &Arc<Edge>, app: &Arc<App>, tunnel: &Tunnel, mut orphan: Orphan, longest: Duration) {
    tunnel.leave_instance();
    let _held = Counted::new(&app.vitals, |vitals| &vitals.held);
    let gone = tokio::select! {
        () = until_released(edge, app, longest) => false,
        () = tunnel.told() => false,
        () = orphan.left() => true,
    };
    if !gone {
        orphan.release().await;
    }
}

/// Waits until there is somewhere to go and it is this client's turn, at most until the deadline.
async fn until_released(edge: &Arc<Edge>, app: &Arc<App>, longest: Duration) {
    let deadline = Instant::now() + longest;
    loop {
        let changed = app.vitals.changed.notified();
        let now = edge.apps.pin();
        if let Some(per_second) = now.get(app.id.as_str()).and_then(|app| takes_per_second(app, &edge.share)) {
            let left = deadline.saturating_duration_since(Instant::now());
            let turn = app.vitals.release.book(clock::now(), per_second, left);
            return sleep_until(turn.map_or(deadline, |wait| Instant::now() + wait)).await;
        }
        if timeout_at(deadline, changed).await.is_err() {
            return;
        }
    }
}

//! `GET /v1/events`: a stream of events, as server-sent events (WHATWG HTML, section 9.2).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::events::Events;
use crate::http_server::{Call, Content, Reply};

/// Events handed over at once; a follower that is slower than this waits for no one but itself.
const BATCH: usize = 100;
/// A line now and then, so that a follower that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams events after the follower's last, or from now on.
pub(super) fn events(events: Arc<Events>, call: &Call) -> Reply {
    let (sender, receiver) = mpsc::channel(4);
    let mut last = call.last_event_id.unwrap_or_else(|| events.last_id());
    tokio::spawn(async move {
        let mut bell = events.bell();
        loop {
            bell.mark_unchanged();
            let batch = events.after(last, BATCH);
            let mut text = String::new();
            for event in &batch {
                last = event.id;
                let json = serde_json::to_string(event).unwrap_or_default();
                text.push_str(&format!("id: {}\ndata: {json}\n\n", event.id));
            }
            if batch.is_empty() {
                if tokio::time::timeout(KEEP_ALIVE, bell.changed()).await.is_ok() {
                    continue;
                }
                text.push_str(": nothing new\n\n");
            }
            if sender.send(Bytes::from(text)).await.is_err() {
                return;
            }
        }
    });
    Reply { status: 200, content_type: "text/event-stream", content: Content::Stream(receiver) }
}

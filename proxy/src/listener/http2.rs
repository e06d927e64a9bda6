//! One HTTP/2 connection: its streams are requests like any other, and it is told to go where one of HTTP/1.1 would not be kept.

use std::sync::Arc;
use std::time::Instant;

use pingora_core::apps::ServerApp;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::time::sleep;

use crate::border::must_go;
use crate::connection::{Connection, Ends, Streams};
use crate::edge::Edge;
use crate::proxy::Proxy;

/// Serves its streams until it is idle, or has been told to go and went.
pub(super) async fn serve(connection: Box<Connection>, http: &Arc<HttpProxy<Proxy>>, edge: &Edge, stop: &ShutdownWatch) {
    let ends = connection.share_ends();
    let Some(streams) = &ends.streams else { return };
    connection.end_after(edge.settings.limits.head);
    let farewell = streams.farewell();
    tokio::select! {
        _ = http.process_new(connection, &farewell) => {}
        () = until_unwanted(edge, &ends, streams, stop) => {}
    }
}

/// Tells the client to go once there is a reason to. Returns when it has nothing under way and stays all the same, or if it
/// never said anything.
async fn until_unwanted(edge: &Edge, ends: &Ends, streams: &Streams, stop: &ShutdownWatch) {
    let (mut told, mut farewell, mut level) = (streams.farewell(), edge.farewell.subscribe(), edge.level.subscribe());
    if *stop.borrow() {
        // It was rung before this one could hear it.
        farewell.mark_changed();
    }
    let since = Instant::now();
    loop {
        tokio::select! {
            _ = told.wait_for(|told| *told) => break,
            Ok(()) = farewell.changed() => streams.say_farewell(),
            Ok(()) = level.changed() => {
                if must_go(ends, *level.borrow_and_update(), streams.is_fresh(), since.elapsed()) {
                    streams.say_farewell();
                    if streams.is_fresh() {
                        return;
                    }
                }
            }
        }
    }
    // pingora waits for those who were told to go without an end.
    let mut before = None;
    loop {
        sleep(edge.settings.limits.keepalive).await;
        let now = streams.all_ended();
        if now.is_some() && now == before {
            return;
        }
        before = now;
    }
}

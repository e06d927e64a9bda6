//! The probe listener: `/metrics` for Prometheus, `/healthz`, `/readyz` and `/healthz/region` for load balancers.

use std::sync::Arc;

use http::Method;
use pingora_core::server::ShutdownWatch;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::admin::Admin;
use crate::connection::Connection;
use crate::http_server::{self, Call, Reply};
use crate::metrics::{self, classic};

/// Probes at once; more wait.
const CONNECTIONS_MAX: usize = 64;
/// Nobody has anything to send here.
const BODY_BYTES_MAX: usize = 1_024;

/// Serves probes until `stop` says so.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, mut stop: ShutdownWatch) {
    let Ok(local) = listener.local_addr() else { return };
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = async {
            let accepted = listener.accept().await;
            (accepted, Arc::clone(&slots).acquire_owned().await.ok())
        };
        let (accepted, slot) = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.changed() => return,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let connection = Connection::new(stream, peer, local);
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            http_server::serve(Box::new(connection), BODY_BYTES_MAX, |call| answer(Arc::clone(&admin), call)).await;
            drop(slot);
        });
    }
}

async fn answer(admin: Arc<Admin>, call: Call) -> Reply {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return Reply::text(405, "GET only\n");
    }
    match call.path.as_str() {
        "/healthz" => Reply::text(200, "ok\n"),
        "/readyz" => match admin.edge.not_ready() {
            None => Reply::text(200, "ok\n"),
            Some(why) => Reply::text(503, format!("{why}\n")),
        },
        "/healthz/region" => {
            let (status, text) = admin.edge.region_health();
            Reply::text(status, text)
        }
        "/metrics" => {
            admin.edge.processes.ask().await;
            let told = Arc::clone(&admin);
            match admin.aside.run(move || metrics::text(&told)).await {
                Ok(Ok(text)) if classic::is_wanted(&call.accept) => {
                    Reply { content_type: classic::CONTENT_TYPE, ..Reply::text(200, classic::text(&text)) }
                }
                Ok(Ok(text)) => {
                    Reply { content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8", ..Reply::text(200, text) }
                }
                _ => Reply::text(500, "the metrics could not be written\n"),
            }
        }
        _ => Reply::text(404, "here are /metrics, /healthz, /healthz/region and /readyz\n"),
    }
}

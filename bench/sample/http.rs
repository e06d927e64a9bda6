//! The HTTP side: connections, and who answers which path.

pub(crate) mod answer;
mod lab;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::ALLOW;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use crate::app::App;
use crate::{sockjs, websocket};
use answer::Response;

/// Node closes a connection that was idle for this long, and an edge must live with that.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A pause after a failed accept, which most likely means that no file is left to open.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Accepts for ever.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                app.connections.fetch_add(1, Relaxed);
                tokio::spawn(connection(stream, Arc::clone(&app)));
            }
            Err(error) => {
                warn!("cannot accept: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, app: Arc<App>) {
    // Without it a frame waits for the acknowledgement of the one before; with it refused, it does.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(route(&app, request).await) }
    });
    // How a connection ends is its client's affair.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn route(app: &Arc<App>, request: Request<Incoming>) -> Response {
    let path = request.uri().path().to_owned();
    if request.uri().authority().is_some() || !path.starts_with('/') {
        return answer::text(StatusCode::BAD_REQUEST, "Not a proxy");
    }
    if let Some(below) = app.prefix.strip(&path) {
        return sockjs::answer(app, request, below).await;
    }
    match path.as_str() {
        "/websocket" | "/websocket/" => websocket::raw(app, request),
        "/healthz" => answer::text(StatusCode::OK, "ok\n"),
        "/api/instance" => answer::json(&app.identity),
        "/api/connections" => answer::text(StatusCode::OK, app.connections.load(Relaxed).to_string()),
        "/api/headers" => lab::headers(&request),
        "/api/echo" => lab::echo(request).await,
        "/api/slow" => lab::slow(&request).await,
        "/api/bytes" => lab::bytes(&request),
        "/api/status" => lab::status(&request),
        "/api/set-cookie" => lab::set_cookie(&request),
        _ => page(app, &request),
    }
}

/// The page, for every path that nobody knows, as in Meteor: the router runs in the browser.
fn page(app: &App, request: &Request<Incoming>) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => answer::full("text/html; charset=utf-8", app.page.clone()),
        Method::OPTIONS => answer::with(answer::empty(StatusCode::OK), ALLOW, "OPTIONS, GET, HEAD"),
        _ => answer::wrong_method("OPTIONS, GET, HEAD"),
    }
}

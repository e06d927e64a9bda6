//! SockJS as `sockjs-node` 0.3.24 serves it for Meteor, with the transports that Meteor's client tries.

mod cors;
pub(crate) mod frame;
pub(crate) mod mailbox;
mod polling;
mod socket;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde::Serialize;

use crate::app::App;
use crate::http::answer::{self, Response};
use crate::websocket;

#[derive(Serialize)]
struct Info {
    websocket: bool,
    origins: [&'static str; 1],
    cookie_needed: bool,
    entropy: u32,
}

/// Answers what stands below the prefix: `path` is `/info`, `/123/abcdefgh/xhr` and so on.
pub(crate) async fn answer(app: &Arc<App>, request: Request<Incoming>, path: &str) -> Response {
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments[..] {
        [] => answer::text(StatusCode::OK, "Welcome to SockJS!\n"),
        ["info"] => info(&request),
        ["websocket"] => websocket::raw(app, request),
        [server, session, transport] if is_id(server) && is_id(session) => match transport {
            "websocket" => socket::answer(app, request),
            "xhr" => polling::xhr(app, &request, session).await,
            "xhr_streaming" => polling::xhr_streaming(app, &request, session),
            "xhr_send" => polling::xhr_send(app, request, session).await,
            _ => not_found(),
        },
        _ => not_found(),
    }
}

/// What every client asks first; from how long it takes, the client concludes how long a socket may take.
fn info(request: &Request<Incoming>) -> Response {
    match *request.method() {
        Method::OPTIONS => cors::preflight(request.headers(), "OPTIONS, GET"),
        Method::GET | Method::HEAD => {
            let info = Info { websocket: true, origins: ["*:*"], cookie_needed: false, entropy: fastrand::u32(..) };
            uncached(cors::allow(request.headers(), answer::json(&info)))
        }
        _ => answer::wrong_method("OPTIONS, GET"),
    }
}

fn uncached(mut response: Response) -> Response {
    let never = HeaderValue::from_static("no-store, no-cache, no-transform, must-revalidate, max-age=0");
    response.headers_mut().insert(CACHE_CONTROL, never);
    response
}

fn not_found() -> Response {
    answer::text(StatusCode::NOT_FOUND, "404 Error: Page not found\n")
}

fn is_id(segment: &str) -> bool {
    (1..=128).contains(&segment.len()) && !segment.contains('.')
}

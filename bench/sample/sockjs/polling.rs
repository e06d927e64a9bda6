//! The requests of SockJS over plain HTTP: `xhr` and `xhr_streaming` bring frames, `xhr_send` takes messages.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::{iter, unfold};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method, Request, StatusCode};

use super::frame::{self, Broken, Frame};
use super::mailbox::{Mailboxes, Receiver, Refused};
use super::{cors, not_found, uncached};
use crate::app::App;
use crate::conversation::MESSAGE_LIMIT;
use crate::http::answer::{self, Response};

/// A streamed answer ends after this many bytes, since browsers keep all of it in memory.
const STREAM_LIMIT: usize = 128 * 1024;

/// Old browsers show nothing of a streamed answer before the 2,048th byte.
const PRELUDE: usize = 2048;

const FRAMES: &str = "application/javascript; charset=UTF-8";
const PLAIN: &str = "text/plain; charset=UTF-8";
const METHODS: &str = "OPTIONS, POST";

/// The long poll: waits for one frame and ends.
pub(super) async fn xhr(app: &Arc<App>, request: &Request<Incoming>, session: &str) -> Response {
    if let Some(response) = unless_post(request) {
        return response;
    }
    let frame = match Mailboxes::listen(app, session) {
        Ok(mut receiver) => {
            let frame = receiver.frame().await;
            receiver.end();
            frame
        }
        Err(Refused::Taken) => Frame::ANOTHER_CONNECTION,
        Err(Refused::TooMany) => return too_many(),
    };
    decorated(request.headers(), answer::full(FRAMES, line(&frame)))
}

/// The same nearly without an end: frame after frame in one answer.
pub(super) fn xhr_streaming(app: &Arc<App>, request: &Request<Incoming>, session: &str) -> Response {
    if let Some(response) = unless_post(request) {
        return response;
    }
    let prelude = Bytes::from(format!("{}\n", "h".repeat(PRELUDE)));
    let frames = match Mailboxes::listen(app, session) {
        Ok(receiver) => Either::Left(unfold(Some((receiver, 0)), next_line)),
        Err(Refused::Taken) => Either::Right(iter([line(&Frame::ANOTHER_CONNECTION)])),
        Err(Refused::TooMany) => return too_many(),
    };
    decorated(request.headers(), answer::stream(FRAMES, iter([prelude]).chain(frames)))
}

/// The next line of a streamed answer, and what it takes to go on after it.
async fn next_line(state: Option<(Receiver, usize)>) -> Option<(Bytes, Option<(Receiver, usize)>)> {
    let (mut receiver, sent) = state?;
    let frame = receiver.frame().await;
    let line = line(&frame);
    let sent = sent + line.len();
    if sent < STREAM_LIMIT && !matches!(frame, Frame::Close(..)) {
        return Some((line, Some((receiver, sent))));
    }
    receiver.end();
    Some((line, None))
}

/// The client's messages. An instance that does not know the session answers 404, and the client gives up.
pub(super) async fn xhr_send(app: &Arc<App>, request: Request<Incoming>, session: &str) -> Response {
    if let Some(response) = unless_post(&request) {
        return response;
    }
    let (head, body) = request.into_parts();
    let answer = match read_messages(&head.headers, body).await {
        Err(reason) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, reason),
        Ok(messages) => match app.mailboxes.get(session) {
            None => not_found(),
            Some(mailbox) => {
                mailbox.deliver(messages).await;
                answer::with(answer::empty(StatusCode::NO_CONTENT), CONTENT_TYPE, PLAIN)
            }
        },
    };
    decorated(&head.headers, answer)
}

/// The refusals are those of `sockjs-node`, status 500 and all.
async fn read_messages(headers: &HeaderMap, body: Incoming) -> Result<Vec<String>, &'static str> {
    let kind = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let kind = kind.split(';').next().unwrap_or_default();
    if !matches!(kind, "" | "text/plain" | "T" | "application/json" | "application/xml" | "text/xml") {
        return Err("Payload expected.");
    }
    let body = answer::collect(body, MESSAGE_LIMIT).await.ok_or("Payload too large.")?;
    if body.is_empty() {
        return Err("Payload expected.");
    }
    let text = std::str::from_utf8(&body).map_err(|_| "Broken JSON encoding.")?;
    frame::read(text).map_err(|broken| match broken {
        Broken::Syntax => "Broken JSON encoding.",
        Broken::Shape => "Payload expected.",
    })
}

fn unless_post(request: &Request<Incoming>) -> Option<Response> {
    match *request.method() {
        Method::POST => None,
        Method::OPTIONS => Some(cors::preflight(request.headers(), METHODS)),
        _ => Some(answer::wrong_method(METHODS)),
    }
}

fn decorated(request: &HeaderMap, response: Response) -> Response {
    uncached(cors::allow(request, response))
}

fn too_many() -> Response {
    answer::text(StatusCode::SERVICE_UNAVAILABLE, "Too many sessions")
}

fn line(frame: &Frame) -> Bytes {
    Bytes::from(format!("{frame}\n"))
}

//! A small HTTP/1.1 server on pingora's sessions, for the admin socket and the probe listener.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_error::Result;
use pingora_http::ResponseHeader;
use tokio::sync::mpsc::Receiver;

/// How long a head, or a pause within a body, may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a reader may take no bytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a body that nobody wants is read, so that its sender gets to the answer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be idle between two calls.
const KEEPALIVE_SECONDS: u64 = 60;

/// One call, read whole.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: String,
    /// The id after which a follower of events wants to go on.
    pub last_event_id: Option<u64>,
    /// The media types that the caller takes; empty when it does not say.
    pub accept: String,
    pub body: Body,
}

/// The body of a call.
#[derive(Debug)]
pub enum Body {
    Whole(Vec<u8>),
    TooLarge,
}

/// The answer to a call.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub content: Content,
}

#[derive(Debug)]
pub enum Content {
    Whole(Bytes),
    /// Sent as it comes, until the sender is dropped or the reader is gone.
    Stream(Receiver<Bytes>),
}

impl Reply {
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", content: Content::Whole(Bytes::from(text.into())) }
    }

    pub fn json(status: u16, value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => Self { status, content_type: "application/json", content: Content::Whole(Bytes::from(json)) },
            Err(e) => Self::text(500, e.to_string()),
        }
    }
}

/// Answers the calls of one connection, one after the other.
pub async fn serve<A, F>(stream: Stream, body_bytes_max: usize, answer: A)
where
    A: Fn(Call) -> F,
    F: Future<Output = Reply>,
{
    let mut next = Some(stream);
    while let Some(stream) = next.take() {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(Some(KEEPALIVE_SECONDS));
        session.set_read_timeout(Some(READ_TIMEOUT));
        session.set_write_timeout(Some(WRITE_TIMEOUT));
        session.set_total_drain_timeout(Some(READ_TIMEOUT));
        // Whoever breaks off, or speaks no HTTP, is not answered: this is not a public port.
        if !matches!(session.read_request().await, Ok(true)) {
            return;
        }
        let Ok(call) = read(&mut session, body_bytes_max).await else { return };
        let head_only = call.method == Method::HEAD;
        let unread = matches!(call.body, Body::TooLarge);
        let reply = answer(call).await;
        if write(&mut session, reply, head_only).await.is_err() {
            return;
        }
        if unread {
            // Closed with bytes unread, a connection is reset, and the answer may be lost with it.
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, session.drain_request_body()).await;
            return;
        }
        next = session.finish().await.ok().flatten().map(|reusable| reusable.into_parts().0);
    }
}

async fn read(session: &mut ServerSession, body_bytes_max: usize) -> Result<Call> {
    let request = session.req_header();
    let (path, query) = (request.uri.path().to_owned(), request.uri.query().unwrap_or_default().to_owned());
    let method = request.method.clone();
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let number = |name: &str| header(name).and_then(|value| value.parse::<u64>().ok());
    let last_event_id = number("last-event-id");
    let accept = header("accept").unwrap_or_default().to_owned();
    let announced = number("content-length").map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > body_bytes_max {
        session.set_keepalive(None);
        return Ok(Call { method, path, query, last_event_id, accept, body: Body::TooLarge });
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(bytes) = session.read_request_body().await? {
        if body.len() + bytes.len() > body_bytes_max {
            session.set_keepalive(None);
            return Ok(Call { method, path, query, last_event_id, accept, body: Body::TooLarge });
        }
        body.extend_from_slice(&bytes);
    }
    Ok(Call { method, path, query, last_event_id, accept, body: Body::Whole(body) })
}

async fn write(session: &mut ServerSession, reply: Reply, head_only: bool) -> Result<()> {
    let mut header = ResponseHeader::build(reply.status, Some(4))?;
    header.insert_header(CONTENT_TYPE, reply.content_type)?;
    header.insert_header(CACHE_CONTROL, "no-store")?;
    match reply.content {
        Content::Whole(bytes) => {
            header.insert_header(CONTENT_LENGTH, bytes.len())?;
            session.write_response_header(Box::new(header)).await?;
            if !head_only {
                session.write_response_body(bytes, true).await?;
            }
        }
        Content::Stream(mut pieces) => {
            session.set_keepalive(None);
            header.insert_header("transfer-encoding", "chunked")?;
            session.write_response_header(Box::new(header)).await?;
            while let Some(piece) = pieces.recv().await {
                session.write_response_body(piece, false).await?;
            }
            session.write_response_body(Bytes::new(), true).await?;
        }
    }
    Ok(())
}

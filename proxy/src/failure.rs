//! What the edge answers when it answers by itself: one code, one status, one body by caller.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::Method;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFRESH, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use jiff::Timestamp;
use karman_contract::code::Code;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use crate::caller::Caller;
use crate::edge::Edge;
use crate::exchange::Exchange;
use crate::headers::{ERROR, REQUEST_ID};
use crate::pages::{self, PageInput};
use crate::table::App;

/// Which code a failure of pingora's is. `None`: the client is gone, nobody is left to answer.
pub fn code_of(e: &Error, response_started: bool) -> Option<Code> {
    use ErrorType::{
        ConnectError, ConnectNoRoute, ConnectRefused, ConnectTimedout, ConnectionClosed, H2Error, ReadError, ReadTimedout,
        WriteError, WriteTimedout,
    };
    match (e.esource(), e.etype()) {
        (ErrorSource::Upstream, ConnectTimedout) => Some(Code::ConnectTimeout),
        (ErrorSource::Upstream, ConnectRefused | ConnectNoRoute | ConnectError) => Some(Code::ConnectRefused),
        (ErrorSource::Upstream, ReadTimedout) if response_started => Some(Code::IdleTimeout),
        (ErrorSource::Upstream, ReadTimedout | WriteTimedout) => Some(Code::FirstByteTimeout),
        (ErrorSource::Upstream, ReadError | WriteError | ConnectionClosed) => Some(Code::InstanceReset),
        (ErrorSource::Upstream, _) => Some(Code::InstanceGarbage),
        (ErrorSource::Downstream, ReadTimedout) => Some(Code::RequestTimeout),
        // Of HTTP/2 also a stream that its client took back.
        (ErrorSource::Downstream, ReadError | WriteError | WriteTimedout | ConnectionClosed | H2Error) => None,
        (ErrorSource::Downstream, _) => Some(Code::BadRequest),
        (ErrorSource::Internal | ErrorSource::Unset, _) => Some(Code::Internal),
    }
}

/// When to come back, in seconds; on every 429 and 503. `chance` from 0 to 1 spreads a herd.
pub fn retry_after(code: Code, chance: f64) -> Option<u32> {
    let (from, to) = match code {
        Code::AppStarting | Code::AppAsleep => (3.0, 8.0),
        Code::QueueFull | Code::QueueTimeout | Code::OverLimit | Code::Overloaded | Code::Draining => (5.0, 15.0),
        Code::AppMaintenance | Code::AppStopped | Code::AppSuspended => (60.0, 120.0),
        code if code.status() == 503 => (20.0, 40.0),
        _ => return None,
    };
    Some((from + (to - from) * chance).round() as u32)
}

/// When a page comes back by itself, in seconds: never for what only its owner can end.
fn refresh_after(code: Code, method: &Method, chance: f64) -> Option<u32> {
    let waits = matches!(code.status(), 502..=504) && !matches!(code, Code::AppStopped | Code::AppSuspended);
    // A form that was posted must not be posted again.
    let harmless = matches!(*method, Method::GET | Method::HEAD);
    (waits && harmless).then(|| (20.0 + 20.0 * chance).round() as u32)
}

/// Answers the request, unless an answer has begun. Says whether the connection may be used again.
pub async fn answer(edge: &Edge, session: &mut Session, x: &mut Exchange, code: Code) -> Result<bool> {
    x.code = Some(code);
    x.vitals(edge).count_refusal(code);
    if session.response_written().is_some_and(|written| !written.status.is_informational()) {
        return Ok(false);
    }
    x.status = code.status();
    if code == Code::BadRequest || x.caller == Caller::Socket {
        // What follows a request that was wrong, or an upgrade that was refused, may be meant as
        // something else than a request (RFC 9931).
        session.set_keepalive(None);
    }
    let (header, body) = compose(edge, x, code)?;
    let has_body = x.method != Method::HEAD && !body.is_empty();
    let bytes = body.len() as u64;
    session.write_response_header(Box::new(header), !has_body).await?;
    if has_body {
        session.write_response_body(Some(body), true).await?;
        x.bytes_out += bytes;
    }
    Ok(true)
}

pub fn compose(edge: &Edge, x: &Exchange, code: Code) -> Result<(ResponseHeader, Bytes)> {
    let shown = code.shown_to_visitors();
    let mut header = ResponseHeader::build(shown.status(), Some(10))?;
    header.insert_header(ERROR, shown.as_str())?;
    header.insert_header(REQUEST_ID, &x.request_id)?;
    header.insert_header(CACHE_CONTROL, "no-store")?;
    header.insert_header(X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    let retry = retry_after(shown, fastrand::f64());
    if let Some(seconds) = retry {
        header.insert_header(RETRY_AFTER, seconds)?;
    }
    if shown == Code::MethodNotAllowed {
        header.insert_header(ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
    }
    let body = match x.caller {
        Caller::Socket => String::new(),
        Caller::Navigation => {
            let refresh = refresh_after(shown, &x.method, fastrand::f64());
            if let Some(seconds) = refresh {
                header.insert_header(REFRESH, seconds)?;
            }
            header.insert_header(CONTENT_TYPE, "text/html; charset=utf-8")?;
            page(edge, x, shown, retry, refresh, &mut header)?
        }
        Caller::Api | Caller::Asset | Caller::SockJs => {
            header.insert_header(CONTENT_TYPE, "application/json")?;
            pages::json_body(shown, &x.request_id)
        }
    };
    header.insert_header(CONTENT_LENGTH, body.len())?;
    Ok((header, Bytes::from(body)))
}

fn page(
    edge: &Edge,
    x: &Exchange,
    code: Code,
    retry: Option<u32>,
    refresh: Option<u32>,
    header: &mut ResponseHeader,
) -> Result<String> {
    let app = x.app.as_deref();
    let since = app.map(|app| app.vitals.down_since.load(std::sync::atomic::Ordering::Relaxed)).filter(|since| *since != 0);
    let since = since.and_then(|since| Timestamp::from_millisecond(i64::try_from(since).ok()?).ok());
    let input = PageInput {
        app: app.map(|app| app.id.as_str()),
        host: &x.host,
        retry_seconds: retry,
        refresh_seconds: refresh,
        words: app.filter(|_| code == Code::AppMaintenance).and_then(|app| app.wire.note.as_ref()?.why.as_deref()),
        updating: code == Code::AppDown && app.is_some_and(App::is_rolling),
        since,
        ..PageInput::new(code, &x.request_id, Timestamp::now())
    };
    let own = app.and_then(|app| app.wire.pages.get(&code)).and_then(|hash| {
        let pages = edge.pages.pin();
        pages.get(hash).map(|template| pages::render_owned(template, &input))
    });
    match own {
        // The owner's page runs on the owner's host: what it may load is the owner's business.
        Some(own) => Ok(own),
        None => {
            header.insert_header(CONTENT_SECURITY_POLICY, pages::CONTENT_SECURITY_POLICY)?;
            Ok(pages::render(&input))
        }
    }
}

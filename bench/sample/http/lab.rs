//! Answers on demand, for tests and the spike lab: slow ones, long ones, odd ones.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, unfold};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use super::answer::{self, Response};

const ECHO_LIMIT: usize = 64 * 1024 * 1024;
const BYTES_LIMIT: usize = 64 * 1024 * 1024;
const SLOW_LIMIT: Duration = Duration::from_secs(600);
const CHUNKS_LIMIT: u32 = 10_000;

const BINARY: &str = "application/octet-stream";
const PLAIN: &str = "text/plain; charset=UTF-8";

/// The request as it arrived here, so that a test sees what an app sees. Names are in lower case.
pub(super) fn headers(request: &Request<Incoming>) -> Response {
    let pairs = request.headers().iter();
    let pairs: Vec<_> = pairs.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    answer::json(&json!({ "method": request.method().as_str(), "path": target, "headers": pairs }))
}

/// The body back again, with its length.
pub(super) async fn echo(request: Request<Incoming>) -> Response {
    if request.method() != Method::POST {
        return answer::wrong_method("POST");
    }
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let Some(body) = answer::collect(request.into_body(), ECHO_LIMIT).await else {
        return answer::text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {ECHO_LIMIT} bytes\n"));
    };
    let mut response = answer::full(BINARY, body);
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

/// `?ms=N` answers late; with `&chunks=K` it answers at once, in K pieces over that time.
pub(super) async fn slow(request: &Request<Incoming>) -> Response {
    let limit = SLOW_LIMIT.as_millis() as u64;
    let Some((ms, chunks)) = number(request, "ms", 1000, limit).zip(number(request, "chunks", 0, CHUNKS_LIMIT)) else {
        return refusal(format!("wanted ms from 0 to {limit} and chunks from 0 to {CHUNKS_LIMIT}\n"));
    };
    let time = Duration::from_millis(ms);
    let Some(pause) = time.checked_div(chunks) else {
        sleep(time).await;
        return answer::text(StatusCode::OK, format!("after {ms} ms\n"));
    };
    let drops = unfold(1..=chunks, move |mut left| async move {
        let chunk = left.next()?;
        sleep(pause).await;
        Some((Bytes::from(format!("chunk {chunk} of {chunks}\n")), left))
    });
    answer::stream(PLAIN, drops)
}

/// `?n=N` answers with N bytes.
pub(super) fn bytes(request: &Request<Incoming>) -> Response {
    static BLOCK: [u8; 64 * 1024] = [b'x'; 64 * 1024];

    let Some(length) = number(request, "n", 1024, BYTES_LIMIT) else {
        return refusal(format!("wanted n from 0 to {BYTES_LIMIT}\n"));
    };
    let blocks = (0..length).step_by(BLOCK.len()).map(move |sent| Bytes::from_static(&BLOCK[..BLOCK.len().min(length - sent)]));
    let mut response = answer::stream(BINARY, stream::iter(blocks));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// `?code=NNN` answers with that status.
pub(super) fn status(request: &Request<Incoming>) -> Response {
    match number(request, "code", 200, 599).and_then(|code| StatusCode::from_u16(code).ok()) {
        // A status below 200 is no answer, only the promise of one.
        Some(code) if !code.is_informational() => answer::text(code, format!("status {}\n", code.as_str())),
        _ => refusal("wanted code from 200 to 599\n".to_owned()),
    }
}

/// A cookie of the app; with `?cache=public` in an answer that any cache may keep.
pub(super) fn set_cookie(request: &Request<Incoming>) -> Response {
    let response = answer::with(answer::text(StatusCode::OK, "here is a cookie\n"), SET_COOKIE, "sample=1; Path=/");
    match parameter(request, "cache") {
        Some("public") => answer::with(response, CACHE_CONTROL, "public, max-age=60"),
        Some("private") => answer::with(response, CACHE_CONTROL, "private, max-age=60"),
        _ => response,
    }
}

fn refusal(wanted: String) -> Response {
    answer::text(StatusCode::BAD_REQUEST, wanted)
}

/// The number under `name`, or `default` without one; nothing when it is none or more than `limit`.
fn number<T: std::str::FromStr + PartialOrd>(request: &Request<Incoming>, name: &str, default: T, limit: T) -> Option<T> {
    match parameter(request, name) {
        Some(text) => text.parse().ok().filter(|number| *number <= limit),
        None => Some(default),
    }
}

/// The value of a query parameter as it stands; numbers and words need no decoding.
fn parameter<'a>(request: &'a Request<Incoming>, name: &str) -> Option<&'a str> {
    let pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

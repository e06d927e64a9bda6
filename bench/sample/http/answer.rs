//! Building answers and reading bodies.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::StatusCode;
use hyper::body::{Body, Frame};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

pub(crate) type Response = hyper::Response<UnsyncBoxBody<Bytes, Infallible>>;

pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = status;
    response
}

pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = full("text/plain; charset=UTF-8", text.into());
    *response.status_mut() = status;
    response
}

pub(crate) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => full("application/json; charset=UTF-8", body.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

pub(crate) fn full(content_type: &'static str, body: Bytes) -> Response {
    with(Response::new(Full::new(body).boxed_unsync()), CONTENT_TYPE, content_type)
}

pub(crate) fn stream(content_type: &'static str, chunks: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk))));
    with(Response::new(body.boxed_unsync()), CONTENT_TYPE, content_type)
}

pub(crate) fn wrong_method(allowed: &'static str) -> Response {
    with(empty(StatusCode::METHOD_NOT_ALLOWED), ALLOW, allowed)
}

pub(crate) fn with(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// The whole body, unless it is longer than `limit` or breaks off.
pub(crate) async fn collect(body: impl Body<Data = Bytes, Error = hyper::Error>, limit: usize) -> Option<Bytes> {
    Some(Limited::new(body, limit).collect().await.ok()?.to_bytes())
}

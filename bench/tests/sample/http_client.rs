//! An HTTP client of one request a connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::process::{Sample, soon};

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header's value, or an empty text without one.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn get(sample: &Sample, path: &str) -> Answer {
    ask(sample, "GET", path, &[], "").await
}

pub(crate) async fn post(sample: &Sample, path: &str, body: impl Into<Bytes>) -> Answer {
    ask(sample, "POST", path, &[], body).await
}

pub(crate) async fn ask(
    sample: &Sample,
    method: &str,
    path: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let response = begin(sample, method, path, headers, body).await;
    let (head, body) = response.into_parts();
    let body = soon(body.collect()).await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

/// The answer as soon as its head is there. Dropping it closes the connection.
pub(crate) async fn begin(
    sample: &Sample,
    method: &str,
    path: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Response<Incoming> {
    let mut request = Request::builder().method(method).uri(path).body(Full::new(body.into())).unwrap();
    request.headers_mut().insert(HOST, HeaderValue::from_str(&sample.address).unwrap());
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    soon(connection(sample).await.send_request(request)).await.unwrap()
}

async fn connection(sample: &Sample) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(&sample.address).await.unwrap();
    let (sender, connection) = handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

//! The answer to a head that goes no further: with its code, its line in the log and its count, as any.

use std::io::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use pingora_http::ResponseHeader;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::caller::Caller;
use crate::connection::Connection;
use crate::edge::Edge;
use crate::exchange::Exchange;
use crate::failure;
use crate::head::Refusal;
use crate::headers::{self, Origin, REQUEST_ID};
use crate::routing;

/// How long a client may take to read why it was refused.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// What is still read after that, so that the connection is not reset and the answer lost with it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1_024;

/// Answers, counts and logs; the connection is of no use afterwards.
pub(super) async fn refuse(connection: &mut Connection, edge: &Edge, refusal: Refusal, begun: Option<Instant>) {
    connection.ends().hear();
    let mut x = exchange(connection, edge, refusal);
    x.started = begun.unwrap_or(x.started);
    x.vitals(edge).count_refusal(refusal.code);
    let answer = failure::compose(edge, &x, refusal.code).map(|(header, body)| wire(&header, body, &x.method));
    if let Ok((answer, body_bytes)) = answer {
        let told = async {
            connection.write_all(&answer).await?;
            connection.flush().await?;
            connection.shutdown().await
        };
        if matches!(timeout(WRITE_TIMEOUT, told).await, Ok(Ok(()))) {
            x.bytes_out = body_bytes;
        }
    }
    x.vitals(edge).count_request(x.status, x.started.elapsed());
    if edge.access_log.is_on() {
        edge.access_log.write(&x.line(edge));
    }
    let _ = timeout(LINGER, linger(connection)).await;
}

async fn linger(connection: &mut Connection) {
    let mut read = 0;
    while read < LINGER_BYTES && matches!(connection.read_ahead().await, Ok(true)) {
        read += connection.drop_ahead();
    }
}

/// As much of a request as can be made out of what came.
fn exchange(connection: &Connection, edge: &Edge, refusal: Refusal) -> Exchange {
    let head = connection.ahead();
    let line = head.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
    let method = words.next().and_then(|word| Method::from_bytes(word).ok()).unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    // The page is for somebody whose cookies have grown too large, say: a browser names it among what it takes.
    let takes_pages = head.windows(9).any(|window| window.eq_ignore_ascii_case(b"text/html"));
    let host = field(head, b"host").and_then(routing::host).unwrap_or_default();
    let (table, ends) = (edge.apps.pin(), connection.ends());
    Exchange {
        request_id: headers::request_id(field(head, REQUEST_ID.as_bytes()), || fastrand::u64(..)),
        app: table.find(&host).cloned(),
        host,
        table: Some(table),
        method,
        path: String::from_utf8_lossy(path).into_owned(),
        caller: if takes_pages { Caller::Navigation } else { Caller::Api },
        origin: Origin { client: ends.peer.ip().to_canonical(), secure: ends.secured.is_some(), port: ends.local.port() },
        tls: ends.secured.as_ref().map(|secured| secured.version),
        status: refusal.code.status(),
        code: Some(refusal.code),
        why: Some(refusal.why),
        ..Exchange::default()
    }
}

/// The first field of this name, if the head came as far as that.
fn field<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let mut fields = head.split(|byte| *byte == b'\n').filter_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        Some(value.strip_prefix(b":")?.trim_ascii()).filter(|_| found.eq_ignore_ascii_case(name))
    });
    fields.next()
}

/// An answer as it is sent, and how much of it is its body.
fn wire(header: &ResponseHeader, body: Bytes, method: &Method) -> (Vec<u8>, u64) {
    let body = if *method == Method::HEAD { Bytes::new() } else { body };
    let reason = header.status.canonical_reason().unwrap_or_default();
    let mut answer = Vec::with_capacity(512 + body.len());
    // Writing to a Vec cannot fail.
    let _ = write!(answer, "HTTP/1.1 {} {reason}\r\nconnection: close\r\n", header.status.as_u16());
    if let Ok(date) = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()) {
        let _ = write!(answer, "date: {date}\r\n");
    }
    for (name, value) in &header.headers {
        answer.extend_from_slice(name.as_str().as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(&body);
    (answer, body.len() as u64)
}

//! An answer of the edge's own that is no failure: to a CA, to a health checker, to a client that is sent elsewhere.

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_LENGTH;
use pingora_error::{Error, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use crate::exchange::Exchange;
use crate::headers::REQUEST_ID;

/// Writes the answer with its body, which nobody gets who asked for the head alone.
pub(super) async fn say(
    session: &mut Session,
    x: &mut Exchange,
    mut answer: ResponseHeader,
    body: impl Into<Bytes>,
) -> Result<()> {
    let body = body.into();
    x.status = answer.status.as_u16();
    x.response_started = true;
    answer.insert_header(REQUEST_ID, &x.request_id)?;
    answer.insert_header(CONTENT_LENGTH, body.len())?;
    let has_body = x.method != Method::HEAD && !body.is_empty();
    session.write_response_header(Box::new(answer), !has_body).await.map_err(Error::into_down)?;
    if has_body {
        x.bytes_out = body.len() as u64;
        session.write_response_body(Some(body), true).await.map_err(Error::into_down)?;
    }
    Ok(())
}

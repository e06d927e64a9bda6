//! Whether the client is still there while a request of its waits: whoever is gone keeps no seat from those who are not.

use http::header::EXPECT;
use pingora_core::protocols::http::ServerSession;
use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;

/// So much of a body is read while its request waits. One read more fits into pingora's buffer for retries, which has 64 KiB.
const READ_MAX: usize = 16_384;

/// Waits as long as the client is there.
///
/// On HTTP/1.1 a client that says it will send no more counts as gone, as it does while an app works on its request. What it
/// sends meanwhile is kept for its turn; one that has sent its next request is not seen to leave.
pub(super) async fn while_there<T>(session: &mut Session, wait: impl Future<Output = T>) -> Result<T> {
    tokio::select! {
        biased;
        done = wait => Ok(done),
        // In a box, and only once there is something to wait for: no request that goes on at once has room for it.
        gone = async { Box::pin(gone(session)).await } => Err(gone),
    }
}

/// Returns when the client is gone, and why that ends its request.
async fn gone(session: &mut Session) -> Box<Error> {
    let client = session.as_mut();
    if let Some(reset) = client.watch_h2_stream_close() {
        let _ = reset.await;
        return Error::explain(ErrorType::ConnectionClosed, "the client took its request back").into_down();
    }
    match until_closed(client).await {
        Ok(()) => std::future::pending().await,
        Err(e) => e.into_down(),
    }
}

/// Reads to the end of the connection. What it reads of a body is in pingora's buffer for retries, from which it goes on first.
/// Returns where more of that would have to be read than it may be, or the client does not send it before it is asked to.
async fn until_closed(client: &mut ServerSession) -> Result<()> {
    client.enable_retry_buffering();
    let awaits_word = client.req_header().headers.contains_key(EXPECT);
    loop {
        let is_whole = client.is_body_done();
        let heard = client.get_retry_buffer().map_or(0, |heard| heard.len());
        if !is_whole && (awaits_word || heard >= READ_MAX || client.retry_buffer_truncated()) {
            return Ok(());
        }
        client.read_body_or_idle(is_whole).await?;
    }
}

//! The beginning of a body that comes by HTTP/2. Of HTTP/1.1 the border has heard it before.

use std::time::Instant;

use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;
use tokio::time::timeout;

use super::stop;
use crate::clock;
use crate::connection::{BODY_TOO_SLOW, Fault};
use crate::exchange::Exchange;
use crate::hearing::{Heard, Next};
use crate::looks::{self, Look};

/// Waits until a request is more than a client that sends slowly. What was heard is in pingora's buffer for retries, from
/// which it goes on first.
pub(super) async fn hear(session: &mut Session, x: &mut Exchange) -> Result<()> {
    let headers = &session.req_header().headers;
    let (is_in_pieces, expects_continue) = (!headers.contains_key(CONTENT_LENGTH), headers.contains_key(EXPECT));
    if expects_continue || session.as_mut().is_body_done() {
        return Ok(());
    }
    let (since, mut bytes) = (Instant::now(), 0);
    session.as_mut().enable_retry_buffering();
    while let Some(patience) = &mut x.patience {
        patience.wait(clock::millis());
        let is_whole = session.as_mut().is_body_done();
        let heard = Heard {
            bytes,
            is_whole,
            is_in_pieces,
            since: since.elapsed(),
            patience: patience.left(),
            is_slow: patience.is_slow(),
        };
        let next = heard.next();
        let time = match next {
            Next::GoOn => break,
            Next::WaitAndGoOn(time) | Next::WaitAndRefuse(time) => time,
        };
        match (timeout(time, session.as_mut().read_request_body()).await, next) {
            (Ok(read), _) => match read.map_err(Error::into_down)? {
                Some(piece) => {
                    patience.moved(piece.len(), clock::millis);
                    bytes += piece.len();
                }
                // Its trailers follow.
                None => break,
            },
            (Err(_), Next::WaitAndRefuse(_)) => {
                x.why = Some(BODY_TOO_SLOW.why);
                return Err(stop(x, BODY_TOO_SLOW.code));
            }
            (Err(_), _) => {
                looks::turn(Look::Request).await;
                break;
            }
        }
    }
    if let Some(patience) = &mut x.patience {
        patience.start();
        patience.wait(clock::millis());
    }
    Ok(())
}

/// Whether a wait for the app ended that was one for a client: nothing else ends it while a stream is silent on HTTP/2.
pub(super) fn silence(session: &mut Session, e: &Error, x: &Exchange) -> Option<Fault> {
    let is_late = x.patience.is_some_and(|mut patience| {
        let now = clock::millis();
        patience.wait(now) <= now
    });
    let is_the_clients = is_late && *e.etype() == ErrorType::ReadTimedout && !session.as_mut().is_body_done();
    is_the_clients.then_some(BODY_TOO_SLOW)
}

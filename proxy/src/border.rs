//! The border: a request's head is read and judged here, before anything else sees a byte of it, and the
//! beginning of its body is waited for.

mod body;
mod refuse;

use std::time::{Duration, Instant as Clock};

use bytes::{Buf, BytesMut};
use karman_contract::code::Code;
use tokio::time::{Instant, timeout_at};

use self::refuse::refuse;
use crate::connection::{Connection, Ends};
use crate::edge::Edge;
use crate::head::{Head, HeadLimits, Refusal, Scan, Verdict};
use crate::overload::{Level, SILENCE_MAX};

const CUT_OFF: Refusal = Refusal::new(Code::BadRequest, "a head that ends in the middle");
const TOO_SLOW: Refusal = Refusal::new(Code::RequestTimeout, "a head that came too slowly");

/// The next head on a connection, good and in the form in which it goes on. `None`: there is none, and
/// whoever has to hear why has heard it.
///
/// The deadline is one for all of the head: a client that drips its bytes gets no more time. A head
/// that was begun is waited for also while the edge closes its idle connections.
pub async fn next_head(connection: &mut Connection, edge: &Edge, is_first: bool) -> Option<BytesMut> {
    let limits = &edge.settings.limits;
    let head_limits =
        HeadLimits { target_bytes: limits.request_target_bytes, fields_bytes: limits.header_bytes, fields: limits.header_fields };
    let mut closing = edge.closing.subscribe();
    let mut level = edge.level.subscribe();
    let mut scan = Scan::default();
    let mut deadline = Instant::now() + if is_first { limits.head } else { limits.keepalive };
    let since = Instant::now();
    let mut begun = None;
    loop {
        if !connection.ahead().is_empty() {
            if begun.is_none() {
                begun = Some(Clock::now());
                deadline = if is_first { deadline } else { Instant::now() + limits.head };
            }
            match scan.look(connection.ahead(), &head_limits) {
                Verdict::More => {}
                Verdict::Whole(head) => match body::hear(connection, &head).await {
                    Ok(()) => return Some(take(connection, head)),
                    Err(refusal) => break refuse(connection, edge, refusal, begun).await,
                },
                Verdict::Refused(refusal) => break refuse(connection, edge, refusal, begun).await,
            }
        }
        let read = tokio::select! {
            biased;
            read = timeout_at(deadline, connection.read_ahead()) => read,
            _ = closing.wait_for(|closing| *closing), if begun.is_none() => break,
            Ok(()) = level.changed(), if begun.is_none() => {
                if must_go(connection.ends(), *level.borrow(), is_first, since.elapsed()) {
                    break;
                }
                continue;
            }
        };
        match (read, begun) {
            (Ok(Ok(true)), _) => {}
            (Ok(Ok(false)), Some(_)) => break refuse(connection, edge, CUT_OFF, begun).await,
            (Err(_), Some(_)) => break refuse(connection, edge, TOO_SLOW, begun).await,
            // It has nothing to say, or is gone.
            (Ok(Ok(false) | Err(_)) | Err(_), _) => break,
        }
    }
    None
}

/// Whether a connection that says nothing, and that long, has to make room.
pub fn must_go(ends: &Ends, level: Level, is_first: bool, silence: Duration) -> bool {
    match level {
        Level::Calm => false,
        _ if ends.is_over_share() => true,
        Level::Tight => false,
        Level::Full | Level::Spent => is_first && silence >= SILENCE_MAX,
    }
}

fn take(connection: &mut Connection, head: Head) -> BytesMut {
    connection.ends().hear();
    let rewritten = head.needs_rewriting.then(|| head.rewritten(connection.ahead()));
    let mut bytes = connection.start_message(head.place.end, head.framing);
    match rewritten {
        Some(rewritten) => BytesMut::from(rewritten.as_slice()),
        None => {
            bytes.advance(head.place.start);
            bytes
        }
    }
}

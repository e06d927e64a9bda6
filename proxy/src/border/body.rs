//! The beginning of a body: while it comes slowly its request is nobody's, and costs what an unfinished head does.

use std::time::Instant;

use karman_contract::code::Code;
use tokio::time::timeout;

use crate::connection::{BODY_TOO_SLOW, Connection};
use crate::head::{Head, Refusal};
use crate::hearing::{Heard, Next};
use crate::looks::{self, Look};

const TOO_SLOW: Refusal = Refusal::new(BODY_TOO_SLOW.code, BODY_TOO_SLOW.why);
const CUT_OFF: Refusal = Refusal::new(Code::BadRequest, "a body that ends in the middle");

/// Waits for the beginning of a body. One that its client holds back comes when the app has asked for it.
pub(super) async fn hear(connection: &mut Connection, head: &Head) -> Result<(), Refusal> {
    connection.start_body();
    if head.framing.is_done() || head.expects_continue {
        return Ok(());
    }
    let (mut framing, mut read) = (head.framing.clone(), head.place.end);
    let since = Instant::now();
    loop {
        let come = connection.ahead().get(read..).unwrap_or_default();
        read += framing.take(come).map_err(|bad| Refusal::new(Code::BadRequest, bad.0))?;
        let (patience, is_slow) = connection.patience();
        let heard = Heard {
            bytes: read - head.place.end,
            is_whole: framing.is_done(),
            is_in_pieces: framing.is_between_chunks(),
            since: since.elapsed(),
            patience,
            is_slow,
        };
        let next = heard.next();
        let time = match next {
            Next::GoOn => return Ok(()),
            Next::WaitAndGoOn(time) | Next::WaitAndRefuse(time) => time,
        };
        let more = match timeout(time, connection.read_ahead()).await {
            Ok(read) => Some(read),
            // It may have said something while it was left alone.
            Err(_) => connection.look_ahead(),
        };
        match (more, next) {
            (Some(Ok(true)), _) => {}
            (Some(Ok(false) | Err(_)), _) => return Err(CUT_OFF),
            (None, Next::WaitAndRefuse(_)) => return Err(TOO_SLOW),
            (None, _) => {
                connection.leave_alone();
                looks::turn(Look::Request).await;
                return Ok(());
            }
        }
    }
}

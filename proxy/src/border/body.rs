//! The beginning of a body: while it comes slowly its request is nobody's, and costs what an unfinished head does.

use std::time::{Duration, Instant};

use karman_contract::code::Code;
use tokio::time::timeout;

use crate::connection::{BODY_TOO_SLOW, Connection};
use crate::framing::Framing;
use crate::head::{Head, Refusal};

const TOO_SLOW: Refusal = Refusal::new(BODY_TOO_SLOW.code, BODY_TOO_SLOW.why);
const CUT_OFF: Refusal = Refusal::new(Code::BadRequest, "a body that ends in the middle");

/// So much of a body and the request goes on, however slowly it came.
const HEARD_BYTES: u64 = 4_096;
/// After this time a request goes on with the next piece of its body, if its client keeps the rate.
const HEARING: Duration = Duration::from_millis(100);

/// Waits for the beginning of a body whose length was told: all of a small one. A body in chunks may be the one side of a
/// conversation, and one that its client holds back comes when the app has asked for it: neither is waited for.
pub(super) async fn hear(connection: &mut Connection, head: &Head) -> Result<(), Refusal> {
    let Framing::Length(length) = head.framing else { return Ok(()) };
    if head.waits_for_leave {
        return Ok(());
    }
    let wanted = length.min(HEARD_BYTES);
    let since = Instant::now();
    connection.start_body();
    loop {
        let heard = connection.ahead().len().saturating_sub(head.place.end);
        let (patience, is_slow) = connection.patience();
        if heard as u64 >= wanted || (heard > 0 && !is_slow && since.elapsed() >= HEARING) {
            return Ok(());
        }
        match timeout(patience, connection.read_ahead()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) => return Err(CUT_OFF),
            Err(_) => return Err(TOO_SLOW),
        }
    }
}

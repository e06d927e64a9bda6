//! A request that failed: whose fault it was, what its client hears of it, and what becomes of the connection.

use http::Version;
use karman_contract::code::Code;
use pingora_core::protocols::http::ServerSession;
use pingora_error::Error;
use pingora_proxy::{FailToProxy, Session};
use tokio::time::timeout;

use super::{DRAIN_TIMEOUT, Proxy, deadline, hear};
use crate::connection::{Connection, Deadline, Fault};
use crate::exchange::Exchange;
use crate::failure;

impl Proxy {
    pub(super) async fn fail(&self, session: &mut Session, e: &Error, x: &mut Exchange) -> FailToProxy {
        let too_late = !x.response_started && x.chosen.is_some() && deadline(session).is_some_and(Deadline::passed);
        let fault = fault(session);
        let fault = fault.or_else(|| hear::silence(session, e, x));
        x.why = fault.map(|fault| fault.why).or(x.why);
        let code = match x.code.or_else(|| fault.map(|fault| fault.code)) {
            Some(code) => Some(code),
            None if too_late => Some(Code::FirstByteTimeout),
            None => failure::code_of(e, x.response_started),
        };
        if let Some(deadline) = deadline(session) {
            deadline.clear();
        }
        let Some(code) = code else {
            x.abandoned = true;
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        let answered = failure::answer(&self.edge, session, x, code).await.unwrap_or(false);
        if !answered && session.req_header().version == Version::HTTP_11 {
            // What was written of an answer may wait for more of it: its client gets that, and sees by its framing that it ends
            // too early. An answer to HTTP/1.0 may have none.
            let _ = timeout(DRAIN_TIMEOUT, session.as_mut().shutdown()).await;
        }
        if answered && !session.is_http2() && !session.as_mut().is_body_done() {
            if fault.is_some() {
                session.as_mut().shutdown().await;
            }
            // Closed with bytes unread, a connection is reset, and the answer may be lost with it. A stream ends alone.
            let _ = timeout(DRAIN_TIMEOUT, session.as_mut().drain_request_body()).await;
        }
        FailToProxy { error_code: code.status(), can_reuse_downstream: answered && session.as_mut().is_body_done() }
    }
}

/// Why the connection failed, if it was not the client that ended it.
fn fault(session: &Session) -> Option<Fault> {
    match &*session.downstream_session {
        ServerSession::H1(h1) => Connection::of(h1.stream())?.fault(),
        _ => None,
    }
}

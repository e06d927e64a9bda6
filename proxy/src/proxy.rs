//! The life of a request: pingora's phases, in the order they happen.

mod admit;
mod choose;
mod dress;
mod fail;
mod gate;
mod hear;
mod peer;
mod presence;
mod receive;
mod region;
mod say;
mod secure;
mod upgrade;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{StatusCode, Version};
use karman_contract::code::Code;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use self::peer::first_byte_timeout;
use crate::caller::Caller;
use crate::clock;
use crate::connection::{BODY_TOO_SLOW, Connection, Deadline, Ends};
use crate::edge::Edge;
use crate::exchange::Exchange;
use crate::headers;
use crate::hearing::HEARD_BYTES;
use crate::info::ANSWER_BYTES_MAX;
use crate::patience::Patience;
use crate::upstream::{ConnectFailure, is_reset};

/// What an unread request body may cost before the connection is given up.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Interim answers that an app may send before the one that counts, be it to an upgrade.
const INTERIM_ANSWERS_MAX: usize = 16;

/// The proxy: decides nothing by itself, calls the parts in order.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub edge: Arc<Edge>,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::default()
    }

    // None: pingora's own is compression, off and yet made anew for every request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, x: &mut Exchange) -> Result<bool> {
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        if session.is_http2() {
            // A stream whose window stays shut: its connection may be busy, so the connection's own patience does not see it.
            session.set_write_timeout(Some(self.edge.settings.limits.body_pause));
            x.patience = Some(Patience::new(self.edge.settings.limits.slowest()));
        }
        if let Some(ends) = ends(session) {
            ends.hear();
            x.stream = ends.streams.as_ref().map(|streams| streams.open(self.edge.settings.limits.keepalive_requests));
        }
        // HTTP/1.0 knows no interim answers (RFC 9110 section 15.2).
        let knows_interim_answers = session.req_header().version != Version::HTTP_10;
        session.set_ignore_info_resp(!knows_interim_answers);
        self.read_head(session, x).map_err(|code| stop(x, code))?;
        if self.edge.drain.is_on() {
            // The next request comes on a new connection, and may go elsewhere.
            session.set_keepalive(None);
        }
        Self::check_direction(session, x).map_err(|code| stop(x, code))?;
        match self.find_app(x) {
            Err(Code::UnknownHost) if Self::asks_region(x) => return self.tell_region(session, x).await.map(|()| true),
            found => found.map_err(|code| stop(x, code))?,
        }
        if self.answer_for_https(session, x).await? {
            return Ok(true);
        }
        if x.patience.is_some() {
            hear::hear(session, x).await?;
        }
        self.admit(session, x).await?;
        match x.caller {
            Caller::Socket => self.upgrade(session, x).await.map(|()| true),
            Caller::SockJs if Self::asks_info(x) => self.info(session, x).await,
            _ => Ok(false),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, x: &mut Exchange) -> Result<Box<HttpPeer>> {
        let chosen = x.chosen.as_ref().map(|chosen| chosen.in_flight.instance.address);
        let address = match chosen.filter(|_| std::mem::take(&mut x.is_chosen)) {
            Some(address) => address,
            None => self.choose(session, x).await?,
        };
        let peer = self.peer(address, x)?;
        x.connect_started = Some(Instant::now());
        Ok(Box::new(peer))
    }

    fn fail_to_connect(&self, _session: &mut Session, _peer: &HttpPeer, x: &mut Exchange, mut e: Box<Error>) -> Box<Error> {
        let failure = if *e.etype() == ErrorType::ConnectTimedout { ConnectFailure::TimedOut } else { ConnectFailure::Refused };
        // Nothing was sent: whatever the method, another instance may have it.
        e.set_retry(self.may_try_another(x, failure));
        e
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        x: &mut Exchange,
    ) -> Result<()> {
        if let Some(started) = x.connect_started.take().filter(|_| !reused) {
            x.ms.connect = Some(started.elapsed());
        }
        // What was sent to another instance before counts no more, and while we looked for one nobody waited for the client.
        x.bytes_in = 0;
        if let Some(patience) = &mut x.patience {
            patience.start();
            patience.wait(clock::millis());
        }
        self.connected(x);
        Ok(())
    }

    async fn upstream_request_filter(&self, _session: &mut Session, request: &mut RequestHeader, x: &mut Exchange) -> Result<()> {
        headers::for_app(request, &x.origin, &x.request_id)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        x: &mut Exchange,
    ) -> Result<()> {
        let bytes = body.as_ref().map_or(0, Bytes::len);
        x.bytes_in += bytes as u64;
        let allowed = x.app.as_ref().map_or(0, |app| app.wire.limits.body_bytes);
        if allowed != 0 && x.bytes_in > allowed {
            return Err(stop(x, Code::BodyTooLarge));
        }
        let is_late = x.patience.as_mut().is_some_and(|patience| patience.came_too_slowly(bytes, clock::millis()));
        if is_late && !end && bytes < HEARD_BYTES {
            x.why = Some(BODY_TOO_SLOW.why);
            return Err(stop(x, BODY_TOO_SLOW.code));
        }
        if end {
            self.give_turn(session, x).await?;
        }
        if end
            && !x.response_started
            && let Some(deadline) = deadline(session)
        {
            deadline.set(first_byte_timeout(x));
        }
        Ok(())
    }

    async fn response_filter(&self, session: &mut Session, response: &mut ResponseHeader, x: &mut Exchange) -> Result<()> {
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(stop(x, Code::InstanceGarbage));
        }
        if response.status.is_informational() {
            x.interim_answers += 1;
            return if x.interim_answers > INTERIM_ANSWERS_MAX { Err(stop(x, Code::InstanceGarbage)) } else { Ok(()) };
        }
        self.judge_answer(response).map_err(|code| stop(x, code))?;
        if let Some(deadline) = deadline(session) {
            deadline.clear();
        }
        x.response_started = true;
        x.ms.first_byte = Some(x.started.elapsed());
        x.status = response.status.as_u16();
        match &mut x.lesson {
            Some(lesson) if response.status == StatusCode::OK => lesson.headers = response.headers.clone(),
            _ => x.lesson = None,
        }
        self.keep_secure(session, response, x)?;
        self.dress(response, x)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        x: &mut Exchange,
    ) -> Result<Option<Duration>> {
        let Some(lesson) = &mut x.lesson else { return Ok(None) };
        lesson.body.extend_from_slice(body.as_deref().unwrap_or_default());
        if lesson.body.len() > ANSWER_BYTES_MAX {
            x.lesson = None;
        } else if end {
            self.learn(x);
        }
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut e: Box<Error>,
        x: &mut Exchange,
        reused: bool,
    ) -> Box<Error> {
        // A kept connection that the app closed as we reused it: an idempotent request may go again.
        let reset = matches!(e.etype(), ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed);
        let upstream = *e.esource() == pingora_error::ErrorSource::Upstream;
        // A kept connection on which nothing was answered yet may have been closed just because it was idle.
        if upstream
            && (!reused || x.response_started)
            && is_reset(&e)
            && let Some(chosen) = &x.chosen
        {
            self.edge.health.failed_once(&chosen.in_flight.instance);
        }
        let replayable = x.method.is_idempotent() && !session.as_ref().retry_buffer_truncated();
        let retry = reused && reset && upstream && replayable && !x.response_started && self.may_send_again(x);
        e.set_retry(retry);
        e
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, x: &mut Exchange) -> FailToProxy {
        self.fail(session, e, x).await
    }

    async fn logging(&self, session: &mut Session, _e: Option<&Error>, x: &mut Exchange) {
        if x.is_tunnel {
            return;
        }
        if x.abandoned && !x.response_started {
            // Nobody was told a status. 499 is what others call it.
            x.status = 499;
        }
        x.bytes_out = x.bytes_out.max(session.body_bytes_sent() as u64);
        let vitals = x.vitals(&self.edge);
        vitals.count_request(x.status, x.started.elapsed());
        vitals.books.carry(x.bytes_in, x.bytes_out);
        if self.edge.access_log.is_on() {
            self.edge.access_log.write(&x.line(&self.edge));
        }
    }

    // Every failure has its own log line, code and count: pingora's would be a second one.
    fn suppress_error_log(&self, _session: &Session, _x: &Exchange, _e: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _session: &Session, _x: &Exchange, _e: &Error, _at: ProxyWarnLogContext) -> bool {
        true
    }
}

/// Ends the phases with a code of ours.
fn stop(x: &mut Exchange, code: Code) -> Box<Error> {
    x.code = Some(code);
    Error::explain(ErrorType::HTTPStatus(code.status()), code.as_str())
}

fn ends(session: &Session) -> Option<&Ends> {
    Connection::ends_of(&session.downstream_session)
}

fn deadline(session: &Session) -> Option<&Deadline> {
    ends(session)?.deadline()
}

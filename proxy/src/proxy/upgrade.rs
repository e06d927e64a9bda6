//! WebSocket upgrades: the handshake with the app, and how both sockets leave the request path.

mod hold;
mod open;

use std::io::Cursor;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE};
use karman_contract::app::AfterCrash;
use karman_contract::code::Code;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v1::client::HttpSession as AppSession;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tokio::time::timeout;

use self::open::Open;
use super::peer::first_byte_timeout;
use super::presence::while_there;
use super::{INTERIM_ANSWERS_MAX, Proxy, stop};
use crate::connection::Connection;
use crate::exchange::Exchange;
use crate::failure::code_of;
use crate::headers;
use crate::table::App;
use crate::tunnel::{Side, Terms, Tunnel};
use crate::upstream::{connect, is_reset};

/// Where Meteor speaks DDP without SockJS.
const RAW_DDP: &str = "/websocket";

impl Proxy {
    /// Answers an upgrade: with a tunnel, with what the app says instead, or with a code of ours.
    pub(super) async fn upgrade(&self, session: &mut Session, x: &mut Exchange) -> Result<()> {
        let request = session.req_header();
        // Bytes before the 101 would be a second request in disguise (CVE-2026-2833).
        if request.headers.contains_key(TRANSFER_ENCODING)
            || request.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
        {
            x.why = Some("an upgrade with a body");
            return Err(stop(x, Code::BadRequest));
        }
        if !request.headers.get(SEC_WEBSOCKET_KEY).is_some_and(|key| is_key(key.as_bytes())) {
            x.why = Some("an upgrade without a good key");
            return Err(stop(x, Code::BadRequest));
        }
        // Another version is the app's to refuse (RFC 6455 section 4.4), not to accept.
        let is_known_version = request.headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
        let request = self.handshake_for_app(session, x)?;
        let mut app = loop {
            let address = self.choose(session, x).await?;
            self.pass_upgrade(session, x).await?;
            let patience = x.app.as_ref().map_or(Duration::ZERO, |app| Exchange::seconds(app.wire.timeouts.connect_seconds));
            let started = Instant::now();
            match connect(address, patience).await {
                Ok(app) => {
                    x.ms.connect = Some(started.elapsed());
                    self.connected(x);
                    break app;
                }
                Err(failure) if self.may_try_another(x, failure) => {}
                Err(_) => {
                    let code = x.code.unwrap_or(Code::ConnectRefused);
                    return Err(stop(x, code));
                }
            }
        };
        let status = match while_there(session, timeout(first_byte_timeout(x), ask(&mut app, request))).await? {
            Ok(Ok(status)) => status,
            Ok(Err(e)) => {
                if let Some(chosen) = x.chosen.as_ref().filter(|_| is_reset(&e)) {
                    self.edge.health.failed_once(&chosen.in_flight.instance);
                }
                return Err(stop(x, code_of(&e.into_up(), false).unwrap_or(Code::InstanceReset)));
            }
            Err(_) => return Err(stop(x, Code::FirstByteTimeout)),
        };
        let Some(answer) = app.resp_header().cloned() else { return Err(stop(x, Code::InstanceGarbage)) };
        self.judge_answer(&answer).map_err(|code| stop(x, code))?;
        x.ms.first_byte = Some(x.started.elapsed());
        x.status = status.as_u16();
        x.response_started = true;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            if !is_known_version {
                x.response_started = false;
                return Err(stop(x, Code::InstanceGarbage));
            }
            self.become_tunnel(session, x, app, answer).await
        } else {
            self.relay(session, x, app, answer).await
        }
    }

    /// The client's handshake without what belongs to its own hop (RFC 9110 section 7.6.1).
    fn handshake_for_app(&self, session: &Session, x: &Exchange) -> Result<RequestHeader> {
        let mut request = session.req_header().clone();
        let nominated: Vec<String> = request
            .headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty() && name != "host" && !name.starts_with("sec-websocket-"))
            .collect();
        for name in
            nominated.iter().map(String::as_str).chain(["keep-alive", "te", "trailer", "proxy-connection", "http2-settings"])
        {
            request.remove_header(name);
        }
        request.remove_header(&CONTENT_LENGTH);
        request.insert_header(CONNECTION, "Upgrade")?;
        request.insert_header(UPGRADE, "websocket")?;
        headers::for_app(&mut request, &x.origin, &x.request_id)?;
        Ok(request)
    }

    async fn become_tunnel(
        &self,
        session: &mut Session,
        x: &mut Exchange,
        mut app: AppSession,
        mut answer: ResponseHeader,
    ) -> Result<()> {
        self.keep_secure(session, &mut answer, x)?;
        self.dress(&mut answer, x)?;
        // Counted before the client can know of it: whoever saw a 101 finds it in the numbers.
        let (Some(owner), Some(chosen)) = (&x.app, &x.chosen) else { return Err(stop(x, Code::Internal)) };
        let terms = terms(owner, x);
        let tunnel = Tunnel::new(Arc::clone(&owner.vitals), Arc::clone(&chosen.in_flight.instance), terms);
        let open = Open::new(&self.edge, tunnel, mem::take(x));
        x.is_tunnel = true;
        session.write_response_header(Box::new(answer), false).await.map_err(Error::into_down)?;
        let from_app = read_now(app.read_body_bytes()).await;
        let empty = ServerSession::new_http1(Box::new(Cursor::new(Vec::new())));
        let ServerSession::H1(client) = *mem::replace(&mut session.downstream_session, Box::new(empty)) else {
            return Err(stop(x, Code::Internal));
        };
        let sockets = Connection::into_socket(client.into_inner()).zip(Connection::into_socket(app.into_inner()));
        let Some(((client, slot, from_client), (app, _, _))) = sockets else { return Err(stop(x, Code::Internal)) };
        let client = Side { socket: client, early: from_client };
        let app = Side { socket: app, early: from_app };
        // A task of its own, which holds no more than a tunnel needs.
        tokio::spawn(async move {
            // The slot is the client's: it is free when the socket is closed.
            let _slot = slot;
            open.carry(client, app).await;
        });
        Ok(())
    }

    /// The app refused to upgrade: the client gets what it said.
    async fn relay(
        &self,
        session: &mut Session,
        x: &mut Exchange,
        mut app: AppSession,
        mut answer: ResponseHeader,
    ) -> Result<()> {
        self.keep_secure(session, &mut answer, x)?;
        self.dress(&mut answer, x)?;
        session.set_keepalive(None);
        session.write_response_header(Box::new(answer), false).await.map_err(Error::into_down)?;
        app.read_timeout = x.app.as_ref().map(|app| Exchange::seconds(app.wire.timeouts.idle_seconds));
        while let Some(body) = app.read_body_bytes().await.map_err(Error::into_up)? {
            x.bytes_out += body.len() as u64;
            session.write_response_body(Some(body), false).await.map_err(Error::into_down)?;
        }
        session.write_response_body(None, true).await.map_err(Error::into_down)
    }
}

/// What the app allows this tunnel. Only who speaks SockJS or DDP can be kept while nobody
/// answers: its protocol says again what was not heard. Of any other nothing is known.
fn terms(app: &App, x: &Exchange) -> Terms {
    let says_again = x.path.trim_end_matches('/') == RAW_DDP || x.sockjs_part().is_some();
    let keeps = says_again && app.wire.on_crash.then == AfterCrash::Spread;
    Terms {
        idle_limit: Exchange::seconds(app.wire.timeouts.tunnel_idle_seconds),
        hold: if keeps { Exchange::seconds(app.wire.on_crash.hold_seconds) } else { Duration::ZERO },
    }
}

/// Whether this is the base64 of 16 bytes (RFC 6455 section 4.1).
fn is_key(key: &[u8]) -> bool {
    key.len() == 24 && BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

/// Sends the handshake and waits for an answer that is final.
async fn ask(app: &mut AppSession, request: RequestHeader) -> Result<StatusCode> {
    app.write_request_header(Box::new(request)).await?;
    for _ in 0..=INTERIM_ANSWERS_MAX {
        app.read_response().await?;
        match app.get_status() {
            Some(status) if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS => {}
            Some(status) => return Ok(status),
            None => break,
        }
    }
    Error::e_explain(ErrorType::InvalidHTTPHeader, "no final answer to an upgrade")
}

/// What can be read without waiting: bytes that came along with a head.
async fn read_now(read: impl Future<Output = Result<Option<Bytes>>>) -> Vec<u8> {
    match timeout(Duration::ZERO, read).await {
        Ok(Ok(Some(bytes))) => bytes.to_vec(),
        // Nothing there, or an end that the tunnel will see for itself.
        _ => Vec::new(),
    }
}

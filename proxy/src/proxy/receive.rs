//! Who asks for what, and of which app: what is not a request that an app could get is refused here.

use http::header::HOST;
use http::{HeaderName, HeaderValue};
use karman_contract::code::Code;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{Proxy, ends};
use crate::caller::Caller;
use crate::exchange::{Counted, Exchange};
use crate::head::{self, Refusal};
use crate::headers::{self, Hop, REQUEST_ID};
use crate::routing;

impl Proxy {
    /// Who asks for what: refuses what is not a request that an app could get.
    pub(super) fn read_head(&self, session: &mut Session, x: &mut Exchange) -> Result<(), Code> {
        let unwanted = if session.is_http2() { judge_http2(session.req_header()) } else { Ok(Vec::new()) };
        for name in unwanted.iter().flatten() {
            session.req_header_mut().remove_header(name);
        }
        let request = session.req_header();
        x.method = request.method.clone();
        let target = request.raw_path();
        x.path = String::from_utf8_lossy(target.split(|byte| *byte == b'?').next().unwrap_or_default()).into_owned();
        x.request_id = headers::request_id(request.headers.get(REQUEST_ID).map(HeaderValue::as_bytes), || fastrand::u64(..));
        x.caller = Caller::of(&request.method, &x.path, &request.headers, request.version);
        if let Some(ends) = ends(session) {
            let trusted = &self.edge.settings.trusted_proxies;
            x.tls = ends.secured.as_ref().map(|secured| secured.version);
            let hop = Hop { peer: ends.peer.ip(), port: ends.local.port(), secure: x.tls.is_some() };
            x.origin = headers::origin(hop, &request.headers, trusted);
        }
        // Of HTTP/2 nobody has looked at these before.
        if target.len() > self.edge.settings.limits.request_target_bytes {
            return Err(Code::UriTooLong);
        }
        let limits = &self.edge.settings.limits;
        if request.headers.len() > limits.header_fields || headers::bytes(&request.headers) > limits.header_bytes {
            return Err(Code::HeadersTooLarge);
        }
        unwanted.map_err(|refusal| {
            x.why = Some(refusal.why);
            refusal.code
        })?;
        // HTTP/2 names it in the request's own head (RFC 9113 section 8.3.1).
        let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
        let named = authority.or_else(|| request.headers.get(HOST).map(HeaderValue::as_bytes));
        let host = named.and_then(routing::host);
        x.host = host.ok_or(Code::BadRequest)?;
        Ok(())
    }

    /// Pins the table and finds the app; from here on the request belongs to it.
    pub(super) fn find_app(&self, x: &mut Exchange) -> Result<(), Code> {
        let table = self.edge.apps.pin();
        let app = table.find(&x.host).cloned();
        x.table = Some(table);
        let app = app.ok_or(Code::UnknownHost)?;
        x.in_flight = Some(Counted::new(&app.vitals, |vitals| &vitals.in_flight));
        x.app = Some(app);
        if x.caller != Caller::Socket && x.sockjs_part().is_some() {
            x.caller = Caller::SockJs;
        }
        Ok(())
    }
}

/// Judges a head that came by HTTP/2 as the border does one of HTTP/1.1. The names of fields that do not go on.
fn judge_http2(request: &RequestHeader) -> Result<Vec<HeaderName>, Refusal> {
    let fields = || request.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    head::judge_http2(request.method.as_str().as_bytes(), request.raw_path(), fields())?;
    let unwanted = request.headers.iter().filter(|(name, value)| head::is_unwanted(name.as_str().as_bytes(), value.as_bytes()));
    Ok(unwanted.map(|(name, _)| name.clone()).collect())
}

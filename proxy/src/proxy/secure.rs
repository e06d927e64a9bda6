//! What HTTPS asks of a request: proofs for a CA, the way from HTTP to HTTPS, and that a host is asked
//! for only where its certificate was shown.

#[cfg(test)]
mod tests;

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION, STRICT_TRANSPORT_SECURITY};
use jiff::Timestamp;
use karman_contract::app::Https;
use karman_contract::code::Code;
use karman_contract::name::Thumbprint;
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::say::say;
use super::{Proxy, ends};
use crate::certificates::Standing;
use crate::exchange::Exchange;

/// Where a CA looks for a proof (RFC 8555 section 8.3).
const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";
/// The longest token that is answered; those of Let's Encrypt have 43 characters.
const TOKEN_MAX: usize = 128;
/// How long a browser that came by HTTPS does not try HTTP: short, because a host may leave the edge.
const HSTS: &str = "max-age=2592000";

impl Proxy {
    /// Whether the certificate that the client was shown is for the host that it asks for. If not, the
    /// client used a connection that it has for another host, and has to open one (RFC 9110 section 15.5.20).
    pub(super) fn check_direction(session: &Session, x: &Exchange) -> Result<(), Code> {
        let secured = ends(session).and_then(|ends| ends.secured.as_ref());
        match secured {
            Some(secured) if !secured.certificate.covers(&x.host) => Err(Code::Misdirected),
            _ => Ok(()),
        }
    }

    /// Answers a CA, or sends the client to HTTPS. Says whether it did.
    pub(super) async fn answer_for_https(&self, session: &mut Session, x: &mut Exchange) -> Result<bool> {
        let certificates = self.edge.certificates.pin();
        if let Some(proof) = proof(&x.path, certificates.accounts()) {
            let mut answer = ResponseHeader::build(StatusCode::OK, Some(4))?;
            answer.insert_header(CONTENT_TYPE, "application/octet-stream")?;
            say(session, x, answer, proof).await?;
            return Ok(true);
        }
        let Some(app) = &x.app else { return Ok(false) };
        let sent_there = match app.wire.https {
            Https::Allow => false,
            Https::Auto => !self.edge.settings.listen.https.is_empty() && certificates.covers(&x.host),
            Https::Redirect => true,
        };
        if x.origin.secure || !sent_there {
            return Ok(false);
        }
        let port = self.https_port(session.req_header(), session);
        let target = String::from_utf8_lossy(session.req_header().raw_path()).into_owned();
        let mut answer = ResponseHeader::build(StatusCode::PERMANENT_REDIRECT, Some(4))?;
        answer.insert_header(LOCATION, location(&x.host, port, &target))?;
        answer.insert_header(CACHE_CONTROL, "no-store")?;
        say(session, x, answer, "").await?;
        Ok(true)
    }

    /// Tells browsers to stay with HTTPS, where they came by it and can come again. An app may say it its own way.
    pub(super) fn keep_secure(&self, session: &Session, response: &mut ResponseHeader, x: &Exchange) -> Result<()> {
        let secured = ends(session).and_then(|ends| ends.secured.as_ref());
        let (Some(secured), Some(app)) = (secured, &x.app) else { return Ok(()) };
        let lasts = secured.certificate.standing(Timestamp::now()) != Standing::Expired;
        if app.wire.https != Https::Allow && lasts && !response.headers.contains_key(STRICT_TRANSPORT_SECURITY) {
            response.insert_header(STRICT_TRANSPORT_SECURITY, HSTS)?;
        }
        Ok(())
    }

    /// Our own port, for a client that named our own port for HTTP; else there is something before us
    /// that has the usual ones.
    fn https_port(&self, request: &RequestHeader, session: &Session) -> Option<u16> {
        let named = request.headers.get(HOST)?.to_str().ok()?.rsplit_once(':')?.1.parse::<u16>().ok()?;
        let local = ends(session)?.local.port();
        (named == local).then(|| self.edge.https_port.get().copied()).flatten()
    }
}

/// The key authorization for the token in this path (RFC 8555 section 8.1): any edge can give it, with
/// nothing known of the order. The first account is the one that orders; the others are being retired.
fn proof(path: &str, accounts: &[Thumbprint]) -> Option<String> {
    let token = path.strip_prefix(CHALLENGE_PATH)?;
    let good = (1..=TOKEN_MAX).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    Some(format!("{token}.{}", accounts.first()?)).filter(|_| good)
}

/// The same place by HTTPS. A target that is no path, such as `*`, has no place there but the first.
fn location(host: &str, port: Option<u16>, target: &str) -> String {
    let path = if target.starts_with('/') { target } else { "/" };
    match port {
        Some(port) if port != 443 => format!("https://{host}:{port}{path}"),
        _ => format!("https://{host}{path}"),
    }
}

//! Header fields on their way through: what an app gets to see, and what a client does.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, COOKIE, EXPIRES, FORWARDED, HOST, TRANSFER_ENCODING, VIA};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use jiff::Timestamp;
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::sticky;

pub const REQUEST_ID: &str = "x-request-id";
pub const ERROR: &str = "x-karman-error";
pub const INSTANCE: &str = "x-karman-instance";

const HTTPS_PORT: u16 = 443;

const VIA_US: &str = "1.1 karman";

/// The longest request id that a client may bring.
const REQUEST_ID_MAX: usize = 128;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields that only the edge may write, so a client's own never get through.
const OURS_ALONE: [HeaderName; 8] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_FORWARDED_PROTO,
    X_REAL_IP,
    // CGI turns it into HTTP_PROXY (CVE-2016-5385).
    HeaderName::from_static("proxy"),
    HeaderName::from_static(ERROR),
];
/// Fields of an answer that are only for the hop to the app (RFC 9110 section 7.6.1), or that only the edge may write.
const STAYS_HERE: [HeaderName; 4] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static(ERROR),
    HeaderName::from_static(INSTANCE),
];
/// Fields that are added to a request.
const ADDED: usize = 8;

/// Who the client is, and how it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub client: IpAddr,
    pub secure: bool,
    /// The port that the client connected to, unless its host names one.
    pub port: u16,
}

/// The connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    pub peer: IpAddr,
    /// Ours.
    pub port: u16,
    pub secure: bool,
}

/// Finds the client behind the proxies that are trusted: the last address in `X-Forwarded-For`
/// that is not one of them (RFC 7239 section 8.1 tells why none before it can be believed).
pub fn origin(hop: Hop, headers: &HeaderMap, trusted: &[IpNet]) -> Origin {
    let peer = hop.peer.to_canonical();
    // Where the host names no port, whoever came by HTTPS thinks that it is this one.
    let port_if = |secure| if secure { HTTPS_PORT } else { hop.port };
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return Origin { client: peer, secure: hop.secure, port: port_if(hop.secure) };
    }
    let mut client = peer;
    let mut named_by = 0;
    for (by, hop) in words(headers, &X_FORWARDED_FOR).enumerate() {
        let Some(address) = address(hop) else { break };
        (client, named_by) = (address, by);
        if !is_trusted(&address) {
            break;
        }
    }
    // How the client came, says the proxy that named it. Where there are fewer words, some hand on what they were told.
    let said = words(headers, &X_FORWARDED_PROTO).take(named_by + 1).last();
    // Some call a WebSocket's by its own scheme.
    let is_secure = |proto: &str| ["https", "wss"].iter().any(|secure| proto.eq_ignore_ascii_case(secure));
    let secure = said.map_or(hop.secure, is_secure);
    Origin { client, secure, port: port_if(secure) }
}

/// The words of a field to which each proxy may add one, from the nearest proxy's on.
fn words<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let fields = headers.get_all(name).iter().rev().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.rsplit(',')).map(str::trim)
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().ok().or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// The client's own request id if it is one, else a new one.
pub fn request_id(own: Option<&[u8]>, random: impl FnOnce() -> u64) -> String {
    let own = own.and_then(|id| std::str::from_utf8(id).ok()).filter(|id| {
        (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    });
    own.map_or_else(|| format!("{:016x}", random()), str::to_owned)
}

/// Makes a request what an app gets to see: one trusted hop, and nothing of ours.
///
/// Names go on in lower case, as HTTP/2 has them anyway: pingora keeps the client's spelling of each beside it, and with it every
/// field that we write would cost four allocations.
pub fn for_app(request: &mut RequestHeader, origin: &Origin, request_id: &str) -> Result<()> {
    let nothing = RequestHeader::from(http::Request::new(()).into_parts().0);
    let whole = std::mem::replace(request, nothing);
    let target = whole.raw_path().to_vec();
    let mut parts = http::request::Parts::from(whole);
    dress_for_app(&mut parts, origin, request_id)?;
    *request = RequestHeader::from(parts);
    if request.raw_path() != target {
        // One that is not in the parts as it was sent.
        request.set_raw_path(&target)?;
    }
    Ok(())
}

fn dress_for_app(parts: &mut http::request::Parts, origin: &Origin, request_id: &str) -> Result<()> {
    let fields = &mut parts.headers;
    fields.reserve(ADDED);
    for name in &OURS_ALONE {
        fields.remove(name);
    }
    if let Some(authority) = parts.uri.authority() {
        fields.insert(HOST, value(authority.as_str())?);
    }
    let client = value(&origin.client.to_string())?;
    fields.insert(X_FORWARDED_FOR, client.clone());
    fields.insert(X_REAL_IP, client);
    fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static(if origin.secure { "https" } else { "http" }));
    if let Some(host) = fields.get(HOST).cloned() {
        let port = host.to_str().ok().and_then(|host| host.rsplit_once(':')).and_then(|(_, port)| port.parse::<u16>().ok());
        fields.insert(X_FORWARDED_PORT, port.unwrap_or(origin.port).into());
        fields.insert(X_FORWARDED_HOST, host);
    }
    fields.insert(HeaderName::from_static(REQUEST_ID), value(request_id)?);
    fields.append(VIA, HeaderValue::from_static(VIA_US));
    remove_our_cookies(fields)
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).or_err(ErrorType::InvalidHTTPHeader, "a field of ours")
}

fn remove_our_cookies(headers: &mut HeaderMap) -> Result<()> {
    let mut fields = headers.get_all(COOKIE).iter();
    let kept = match (fields.next(), fields.next()) {
        (None, _) => return Ok(()),
        (Some(only), None) => match sticky::without_ours(only.as_bytes()) {
            Some(kept) => kept,
            None => return Ok(()),
        },
        // HTTP/2 may bring a cookie in crumbs, HTTP/1.1 may not (RFC 9113 section 8.2.3).
        _ => whole(headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes)),
    };
    if kept.is_empty() {
        headers.remove(COOKIE);
    } else {
        let kept = HeaderValue::try_from(kept).or_err(ErrorType::InvalidHTTPHeader, "cookies of a client")?;
        headers.insert(COOKIE, kept);
    }
    Ok(())
}

/// A cookie that came in several fields, in one, without ours.
fn whole<'h>(fields: impl Iterator<Item = &'h [u8]>) -> Vec<u8> {
    let kept = fields.map(|field| sticky::without_ours(field).unwrap_or_else(|| field.to_vec()));
    kept.filter(|field| !field.is_empty()).collect::<Vec<_>>().join(&b"; "[..])
}

/// Makes an app's response what a client gets to see, with names in lower case too. pingora writes `Connection` itself.
pub fn for_client(response: &mut ResponseHeader, request_id: &str, instance: Option<&str>) -> Result<()> {
    let nothing = ResponseHeader::from(http::Response::new(()).into_parts().0);
    let whole = std::mem::replace(response, nothing);
    // The parts have no place for one that is an app's own.
    let reason = whole.get_reason_phrase().filter(|reason| Some(*reason) != whole.status.canonical_reason()).map(str::to_owned);
    let mut parts = http::response::Parts::from(whole);
    let fields = &mut parts.headers;
    for name in &STAYS_HERE {
        fields.remove(name);
    }
    fields.insert(HeaderName::from_static(REQUEST_ID), value(request_id)?);
    if let Some(instance) = instance {
        fields.insert(HeaderName::from_static(INSTANCE), value(instance)?);
    }
    *response = ResponseHeader::from(parts);
    if let Some(reason) = reason {
        response.set_reason_phrase(Some(&reason))?;
    }
    Ok(())
}

/// Whether an answer says in one way only where its body ends (RFC 9112 section 6.3).
pub fn has_one_framing(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match codings.next() {
        None => true,
        Some(coding) => {
            codings.next().is_none()
                && coding.as_bytes().eq_ignore_ascii_case(b"chunked")
                && !headers.contains_key(CONTENT_LENGTH)
        }
    }
}

/// How large the fields are, as they were sent.
pub fn bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Whether a shared cache may keep the response (RFC 9111 section 3): then it must not bind anybody,
/// or a CDN would bring all its viewers to one instance.
pub fn is_shared(headers: &HeaderMap, now: Timestamp) -> bool {
    let mut shared = None;
    for field in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
        for directive in field.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
            let (name, value) = directive.split_once('=').unwrap_or((&directive, ""));
            let seconds = value.trim_matches('"').parse::<u64>().unwrap_or(0);
            match name {
                "private" | "no-store" | "no-cache" => return false,
                "public" => shared = Some(true),
                "s-maxage" => shared = Some(seconds > 0),
                "max-age" => shared = shared.or(Some(seconds > 0)),
                _ => {}
            }
        }
    }
    shared.unwrap_or_else(|| {
        let expires = headers.get(EXPIRES).and_then(|value| value.to_str().ok());
        // A date that cannot be read means "already expired" (RFC 9111 section 5.3).
        expires.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).is_some_and(|date| date.timestamp() > now)
    })
}

//! Header fields on their way through: what an app gets to see, and what a client does.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, COOKIE, EXPIRES, HOST, TRANSFER_ENCODING, VIA};
use ipnet::IpNet;
use jiff::Timestamp;
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::sticky;

pub const REQUEST_ID: &str = "x-request-id";
pub const ERROR: &str = "x-karman-error";
pub const INSTANCE: &str = "x-karman-instance";

const HTTPS_PORT: u16 = 443;

const VIA_US: &str = "1.1 karman";

/// The longest request id that a client may bring.
const REQUEST_ID_MAX: usize = 128;

/// Fields that only the edge may write, so a client's own never get through.
const OURS_ALONE: [&str; 8] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    // CGI turns it into HTTP_PROXY (CVE-2016-5385).
    "proxy",
    "x-karman-error",
];

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
    let fields: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    for hop in fields.iter().rev().flat_map(|field| field.rsplit(',')) {
        let Some(address) = address(hop.trim()) else { break };
        client = address;
        if !is_trusted(&address) {
            break;
        }
    }
    let said = headers.get("x-forwarded-proto").map(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    let secure = said.unwrap_or(hop.secure);
    Origin { client, secure, port: port_if(secure) }
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
pub fn for_app(request: &mut RequestHeader, origin: &Origin, request_id: &str) -> Result<()> {
    for name in OURS_ALONE {
        if request.headers.contains_key(name) {
            request.remove_header(name);
        }
    }
    let authority = request.uri.authority().map(|authority| authority.as_str().to_owned());
    if let Some(authority) = authority {
        request.insert_header(HOST, authority)?;
    }
    let host = request.headers.get(HOST).cloned();
    let client = origin.client.to_string();
    request.insert_header("x-forwarded-for", &client)?;
    request.insert_header("x-real-ip", client)?;
    request.insert_header("x-forwarded-proto", if origin.secure { "https" } else { "http" })?;
    if let Some(host) = host {
        let port = host.to_str().ok().and_then(|host| host.rsplit_once(':')).and_then(|(_, port)| port.parse::<u16>().ok());
        request.insert_header("x-forwarded-port", port.unwrap_or(origin.port).to_string())?;
        request.insert_header("x-forwarded-host", host)?;
    }
    request.insert_header(REQUEST_ID, request_id)?;
    request.append_header(VIA, VIA_US)?;
    remove_our_cookies(request)
}

fn remove_our_cookies(request: &mut RequestHeader) -> Result<()> {
    let fields = request.headers.get_all(COOKIE);
    let crumbled = fields.iter().nth(1).is_some();
    if !crumbled && !fields.iter().any(|field| sticky::without_ours(field.as_bytes()).is_some()) {
        return Ok(());
    }
    let kept: Vec<Vec<u8>> = fields
        .iter()
        .map(|field| sticky::without_ours(field.as_bytes()).unwrap_or_else(|| field.as_bytes().to_vec()))
        .filter(|field| !field.is_empty())
        .collect();
    request.remove_header(&COOKIE);
    if !kept.is_empty() {
        // HTTP/2 may bring a cookie in crumbs, HTTP/1.1 may not (RFC 9113 section 8.2.3).
        request.insert_header(COOKIE, kept.join(&b"; "[..]))?;
    }
    Ok(())
}

/// Makes an app's response what a client gets to see. pingora writes `Connection` itself.
pub fn for_client(response: &mut ResponseHeader, request_id: &str, instance: Option<&str>) -> Result<()> {
    // Only for the hop to the app (RFC 9110 section 7.6.1), or names that only the edge may use.
    for name in ["keep-alive", "proxy-connection", ERROR, INSTANCE] {
        if response.headers.contains_key(name) {
            response.remove_header(name);
        }
    }
    response.insert_header(REQUEST_ID, request_id)?;
    if let Some(instance) = instance {
        response.insert_header(INSTANCE, instance)?;
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

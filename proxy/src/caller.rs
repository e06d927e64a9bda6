//! Who asks: a person's navigation, an API call, an asset, SockJS or a socket. Pure.

#[cfg(test)]
mod tests;

use std::time::Duration;

use http::header::{ACCEPT, CONNECTION, UPGRADE};
use http::{HeaderMap, Method, Version};

/// The kind of caller, which decides what an answer of the edge looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Navigation,
    Api,
    Asset,
    SockJs,
    Socket,
}

impl Caller {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Navigation => "navigation",
            Self::Api => "api",
            Self::Asset => "asset",
            Self::SockJs => "sockjs",
            Self::Socket => "socket",
        }
    }

    /// `path` is without query. Whether it is SockJS is known with the app, which says where that is.
    pub fn of(method: &Method, path: &str, headers: &HeaderMap, version: Version) -> Self {
        if is_websocket(method, headers, version) {
            return Self::Socket;
        }
        let accept = headers.get(ACCEPT).map_or(&b""[..], |value| value.as_bytes());
        if accept.windows(9).any(|window| window.eq_ignore_ascii_case(b"text/html")) {
            return Self::Navigation;
        }
        if method == Method::GET && is_asset(path) { Self::Asset } else { Self::Api }
    }
}

/// A request that asks for a WebSocket (RFC 6455 section 4.1).
pub fn is_websocket(method: &Method, headers: &HeaderMap, version: Version) -> bool {
    let has = |name, token: &str| {
        headers.get_all(name).iter().any(|value| {
            value.as_bytes().split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        })
    };
    version == Version::HTTP_11 && method == Method::GET && has(UPGRADE, "websocket") && has(CONNECTION, "upgrade")
}

fn is_asset(path: &str) -> bool {
    const ENDINGS: [&str; 18] = [
        "js", "mjs", "css", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "woff", "woff2", "ttf", "mp4",
        "webm", "wasm",
    ];
    let ending = path.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map(|(_, ending)| ending);
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

/// The part of the SockJS protocol that a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SockJsPart<'p> {
    Info,
    /// `/<server>/<session>/<transport>`; polling needs all requests of a session at one instance.
    Transport {
        session: &'p str,
        transport: &'p str,
    },
    /// The iframe pages and whatever else lies below the prefix.
    Other,
}

impl<'p> SockJsPart<'p> {
    pub fn of(path: &'p str, prefix: &str) -> Option<Self> {
        let rest = path.strip_prefix(prefix)?;
        if rest.is_empty() {
            return Some(Self::Other);
        }
        let mut parts = rest.strip_prefix('/')?.split('/');
        let part = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("info"), None, ..) => Self::Info,
            (Some(server), Some(session), Some(transport), None) if is_name(server) && is_name(session) => {
                Self::Transport { session, transport }
            }
            _ => Self::Other,
        };
        Some(part)
    }

    /// The session whose requests must all reach one instance. A WebSocket is one request: it need not.
    pub fn polling_session(self) -> Option<&'p str> {
        match self {
            Self::Transport { session, transport } if transport != "websocket" => Some(session),
            _ => None,
        }
    }
}

/// SockJS's own rule for its path parts: not empty, no dot.
fn is_name(part: &str) -> bool {
    !part.is_empty() && !part.contains('.')
}

/// Why there is nothing to send a request to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    Down,
    Starting,
}

/// How long a request waits for an instance before it gets an answer that there is none.
///
/// A SockJS client gives an upgrade that follows its `/info` twice the time that `/info` took, at
/// least 0.6 s, before it falls back to polling for good; other sockets give up after 10 s.
pub fn hold(caller: Caller, part: Option<SockJsPart<'_>>, absence: Absence) -> Duration {
    let starting = absence == Absence::Starting;
    let millis = match (caller, part) {
        (Caller::Navigation, _) if starting => 3_000,
        (Caller::Navigation, _) => 0,
        (_, Some(SockJsPart::Info)) => 5_000,
        (Caller::Socket, Some(_)) if !starting => 600,
        (Caller::Socket, _) => 8_000,
        _ if starting => 30_000,
        _ => 0,
    };
    Duration::from_millis(millis)
}

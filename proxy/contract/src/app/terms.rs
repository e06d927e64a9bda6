//! The terms of an app: how the edge treats its sockets, its requests and its clients.
//!
//! Fields stand in alphabetical order, as in the file above.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::{SECONDS_MAX, words};
use crate::read::{At, Read, Reason, Value, quoted};

words! {
    /// What clients bound to a draining instance get.
    DrainSticky {
        /// The instance they are bound to, until their sockets are closed.
        Keep "keep",
        /// Another instance, from their next request on.
        Move "move",
    }
}

words! {
    AfterCrash { Spread "spread", Close "close", }
}

words! {
    InfoFrom { Edge "edge", App "app", }
}

/// How sockets leave an instance that is draining or gone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drain {
    pub sticky: DrainSticky,
    /// The longest that a drain may take.
    pub window_seconds: u32,
}

/// What happens to the sockets of an instance that died.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OnCrash {
    pub hold_seconds: u32,
    pub then: AfterCrash,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SockJs {
    pub info: InfoFrom,
    /// Starts with `/` and does not end with one.
    pub prefix: String,
}

/// The active health check. Without it, an instance is judged by its traffic alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthCheck {
    pub expect: Expect,
    pub interval_seconds: u32,
    pub path: String,
    pub timeout_seconds: u32,
}

/// Which answers to a health check count as healthy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Expect {
    /// Any well-formed answer: even an error page shows that the process lives.
    #[serde(serialize_with = "any")]
    Any,
    Statuses(Vec<u16>),
}

/// Limits of one app; 0 means no limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limits {
    pub body_bytes: u64,
    pub connections: u32,
    pub queue: u32,
    pub queue_seconds: u32,
    pub requests_in_flight: u32,
    pub requests_per_second_per_client: u32,
    pub sockets: u32,
    /// New sockets an instance.
    pub sockets_per_second: u32,
    pub sockets_per_second_per_client: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeouts {
    pub connect_seconds: u32,
    pub first_byte_seconds: u32,
    /// The longest silence within an answer.
    pub idle_seconds: u32,
    /// The longest silence of a tunnel, both directions counted.
    pub tunnel_idle_seconds: u32,
}

/// A network whose requests are answered `blocked`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deny {
    pub net: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Who changed the app last, and why; shown, never interpreted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { sticky: DrainSticky::Move, window_seconds: 30 }
    }
}

impl Read for Drain {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let default = Self::default();
        let sticky = fields.or(reasons, "sticky", default.sticky);
        let window_seconds = fields.integer(reasons, "window_seconds", default.window_seconds, 0, SECONDS_MAX);
        fields.finish(reasons);
        Some(Self { sticky: sticky?, window_seconds: window_seconds? })
    }
}

impl Default for OnCrash {
    fn default() -> Self {
        Self { hold_seconds: 30, then: AfterCrash::Spread }
    }
}

impl Read for OnCrash {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let default = Self::default();
        let hold_seconds = fields.integer(reasons, "hold_seconds", default.hold_seconds, 0, 60);
        let then = fields.or(reasons, "then", default.then);
        fields.finish(reasons);
        Some(Self { hold_seconds: hold_seconds?, then: then? })
    }
}

impl Default for SockJs {
    fn default() -> Self {
        Self { info: InfoFrom::Edge, prefix: "/sockjs".to_owned() }
    }
}

impl Read for SockJs {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let default = Self::default();
        let info = fields.or(reasons, "info", default.info);
        let prefix = match fields.field("prefix") {
            Some(at) => read_path(&at, reasons).filter(|path| {
                let fits = !path.ends_with('/');
                if !fits {
                    at.refuse(reasons, format!("found {}, wanted a path that does not end with '/'", quoted(path)));
                }
                fits
            }),
            None => Some(default.prefix),
        };
        fields.finish(reasons);
        Some(Self { info: info?, prefix: prefix? })
    }
}

/// The longest path in a document, in bytes.
const PATH_BYTES_MAX: usize = 1_024;

fn read_path(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<String> {
    let path = at.string(reasons, "a path")?;
    let good = path.starts_with('/') && path.len() <= PATH_BYTES_MAX && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if !good {
        at.refuse(
            reasons,
            format!("found {}, wanted a path that starts with '/', of printable ASCII, without '#' or spaces", quoted(path)),
        );
    }
    good.then(|| path.to_owned())
}

impl Read for HealthCheck {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let expect = fields.or(reasons, "expect", Expect::Any);
        let interval_seconds = fields.integer(reasons, "interval_seconds", 10, 1, SECONDS_MAX);
        let path = match fields.field("path") {
            Some(at) => read_path(&at, reasons),
            None => Some("/".to_owned()),
        };
        let timeout_seconds = fields.integer(reasons, "timeout_seconds", 5, 1, 300);
        fields.finish(reasons);
        Some(Self { expect: expect?, interval_seconds: interval_seconds?, path: path?, timeout_seconds: timeout_seconds? })
    }
}

impl Read for Expect {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        match &at.node().value {
            Value::String(word) if word == "any" => Some(Self::Any),
            Value::List(_) => at.list::<Status>(reasons).map(|list| Self::Statuses(list.into_iter().map(|s| s.0).collect())),
            _ => {
                at.wanted(reasons, "'any' or a list of statuses");
                None
            }
        }
    }
}

struct Status(u16);

impl Read for Status {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.integer(reasons, 100, 599).and_then(|status| u16::try_from(status).ok()).map(Self)
    }
}

fn any<S: serde::Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("any")
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 104_857_600,
            connections: 20_000,
            queue: 100,
            queue_seconds: 10,
            requests_in_flight: 1_000,
            requests_per_second_per_client: 0,
            sockets: 20_000,
            sockets_per_second: 200,
            sockets_per_second_per_client: 0,
        }
    }
}

impl Read for Limits {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let default = Self::default();
        let body_bytes = fields.or(reasons, "body_bytes", default.body_bytes);
        let mut count = |name, default| fields.integer(reasons, name, default, 0, u32::MAX);
        let connections = count("connections", default.connections);
        let queue = count("queue", default.queue);
        let queue_seconds = count("queue_seconds", default.queue_seconds);
        let requests_in_flight = count("requests_in_flight", default.requests_in_flight);
        let requests_per_second_per_client = count("requests_per_second_per_client", default.requests_per_second_per_client);
        let sockets = count("sockets", default.sockets);
        let sockets_per_second = count("sockets_per_second", default.sockets_per_second);
        let sockets_per_second_per_client = count("sockets_per_second_per_client", default.sockets_per_second_per_client);
        fields.finish(reasons);
        Some(Self {
            body_bytes: body_bytes?,
            connections: connections?,
            queue: queue?,
            queue_seconds: queue_seconds?,
            requests_in_flight: requests_in_flight?,
            requests_per_second_per_client: requests_per_second_per_client?,
            sockets: sockets?,
            sockets_per_second: sockets_per_second?,
            sockets_per_second_per_client: sockets_per_second_per_client?,
        })
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect_seconds: 3, first_byte_seconds: 30, idle_seconds: 60, tunnel_idle_seconds: 120 }
    }
}

impl Read for Timeouts {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let default = Self::default();
        let mut seconds = |name, default| fields.integer(reasons, name, default, 1, SECONDS_MAX);
        let connect_seconds = seconds("connect_seconds", default.connect_seconds);
        let first_byte_seconds = seconds("first_byte_seconds", default.first_byte_seconds);
        let idle_seconds = seconds("idle_seconds", default.idle_seconds);
        let tunnel_idle_seconds = seconds("tunnel_idle_seconds", default.tunnel_idle_seconds);
        fields.finish(reasons);
        Some(Self {
            connect_seconds: connect_seconds?,
            first_byte_seconds: first_byte_seconds?,
            idle_seconds: idle_seconds?,
            tunnel_idle_seconds: tunnel_idle_seconds?,
        })
    }
}

impl Read for Deny {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let net = match fields.field("net") {
            Some(at) => read_net(&at, reasons),
            None => {
                at.refuse(reasons, "the field 'net' is required");
                None
            }
        };
        let until = match fields.field("until") {
            Some(at) => at.parse(reasons, "a time such as '2026-12-01T00:00:00Z'").map(Some),
            None => Some(None),
        };
        let why = fields.optional(reasons, "why");
        fields.finish(reasons);
        Some(Self { net: net?, until: until?, why: why? })
    }
}

/// Reads a network such as `10.0.0.0/8`; a bare address is a network of one.
pub fn read_net(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<IpNet> {
    let text = at.string(reasons, "a network such as '203.0.113.0/24'")?;
    let net = text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address)));
    match net {
        Ok(net) => Some(net.trunc()),
        Err(_) => {
            at.refuse(reasons, format!("found {}, wanted a network such as '203.0.113.0/24'", quoted(text)));
            None
        }
    }
}

impl Read for Note {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let by = fields.required(reasons, "by");
        let why = fields.optional(reasons, "why");
        fields.finish(reasons);
        Some(Self { by: by?, why: why? })
    }
}

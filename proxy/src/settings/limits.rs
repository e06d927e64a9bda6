//! Every limit of the process: its name, its default, its range and what it is for.

use std::time::Duration;

use karman_contract::read::{At, Read, Reason};

use crate::patience::Slowest;

/// `field "name in the file": type = default, range`.
macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident $name:literal: $type:ty = $default:literal, $min:literal..=$max:literal;)*) => {
        /// The limits of the process. Those of one app stand in its document.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: <$type>::from_number($default),)* }
            }
        }

        impl Read for Limits {
            fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
                let mut fields = at.fields(reasons)?;
                $(let $field = fields.integer(reasons, $name, $default, $min, $max).map(<$type>::from_number);)*
                fields.finish(reasons);
                Some(Self { $($field: $field?,)* })
            }
        }
    };
}

limits! {
    /// Client connections open at once, tunnels included. More wait in the listener's backlog.
    connections "connections": usize = 16_000, 1..=10_000_000;
    /// Connections to upstreams that are kept open for the next request; each thread keeps its share.
    upstream_idle_connections "upstream_idle_connections": usize = 1_024, 1..=1_000_000;
    /// How long such a connection is kept. Node closes its own after 5 s: ours must go first.
    upstream_idle "upstream_idle_seconds": Duration = 4, 1..=3_600;

    /// From accept to the end of a TLS handshake, waiting for its turn included.
    handshake "handshake_seconds": Duration = 10, 1..=60;
    /// TLS handshakes at once, from the ClientHello on; more wait.
    handshakes "handshakes": usize = 4_096, 1..=1_000_000;
    /// TLS handshakes from one client network (IPv4 /24, IPv6 /56); faster ones wait for their turn. 0: no limit.
    handshakes_per_second_network "handshakes_per_second_network": usize = 500, 0..=1_000_000;
    /// TLS handshakes for one name; faster ones wait for their turn. 0: no limit.
    handshakes_per_second_name "handshakes_per_second_name": usize = 1_000, 0..=1_000_000;
    /// Requests at once on one HTTP/2 connection.
    http2_streams "http2_streams": usize = 100, 1..=1_000;
    /// Requests that a client may take back on one HTTP/2 connection before the edge has taken them up.
    http2_resets "http2_resets": usize = 20, 1..=1_000;

    /// From accept, or from the first byte after an idle time, to the end of a request's head.
    head "head_seconds": Duration = 15, 1..=300;
    /// How long nothing may move of a body, or of an answer, while we wait for the client to send or take it.
    body_pause "body_pause_seconds": Duration = 30, 1..=3_600;
    /// How fast a client has to send a body and take an answer, on average, beyond that pause. 0: no limit.
    body_bytes_per_second "body_bytes_per_second_min": usize = 512, 0..=1_000_000_000;
    /// How long a client's connection may be idle between two requests.
    keepalive "keepalive_seconds": Duration = 60, 1..=3_600;
    /// Requests on one client connection, after which it is closed.
    keepalive_requests "keepalive_requests": usize = 1_000, 1..=1_000_000;
    /// The target in the request line. RFC 9112 asks for at least 8,000.
    request_target_bytes "request_target_bytes": usize = 8_192, 1_024..=65_536;
    /// All header fields of a request together.
    header_bytes "header_bytes": usize = 32_768, 4_096..=1_048_576;
    /// The number of header fields of a request; pingora itself holds 256.
    header_fields "header_fields": usize = 100, 16..=256;
    /// All header fields of an app's answer together.
    answer_header_bytes "answer_header_bytes": usize = 65_536, 4_096..=1_048_576;

    /// How often one request is sent: the first time and the retries of what was never processed.
    tries "tries": usize = 3, 1..=10;
    /// Retries in flight, as a share of an app's requests in flight.
    retry_budget_percent "retry_budget_percent": usize = 20, 0..=100;
    /// Retries in flight that an app may always have, however few its requests.
    retry_budget_floor "retry_budget_floor": usize = 3, 0..=1_000;
    /// Requests that wait for an instance at once, over all apps; an owner has no more of these than are free.
    held_requests "held_requests": usize = 10_000, 0..=1_000_000;

    /// How much of the connections or of the memory may be used, before owners who have more than a fair
    /// share of the connections have to give up those that are idle ...
    tight_percent "tight_percent": usize = 80, 10..=100;
    /// ... and get no more requests through, and new connections have to say at once what they want.
    full_percent "full_percent": usize = 90, 10..=100;
    /// ... and lose tunnels in which nothing moved for 5 s, 100 a second.
    spent_percent "spent_percent": usize = 95, 10..=100;
    /// The memory that the process may use; 0: what its control group allows, or the machine has.
    memory_bytes "memory_bytes": usize = 0, 0..=1_125_899_906_842_624;

    /// From SIGTERM to the exit: requests finish and tunnels are closed, spread over this time.
    grace "grace_seconds": Duration = 30, 0..=3_600;
    /// How long a process that was taken over from goes on carrying its tunnels.
    tunnel_drain "tunnel_drain_seconds": Duration = 1_800, 0..=86_400;

    /// How long the apps are taken to be true without a word from whoever publishes them. After that they
    /// are unconfirmed, and an address that fails once is given up until they are confirmed.
    unconfirmed "unconfirmed_seconds": Duration = 60, 1..=86_400;

    /// The largest body of a call on the admin socket.
    admin_body_bytes "admin_body_bytes": usize = 268_435_456, 1_048_576..=4_294_967_296;
    /// Connections to the admin socket open at once; every follower of the events holds one.
    admin_connections "admin_connections": usize = 64, 1..=10_000;
    /// Access-log lines that wait for the writer; more are dropped and counted.
    access_log_lines "access_log_lines": usize = 8_192, 1..=1_000_000;
}

impl Limits {
    /// How slow a client may be.
    pub fn slowest(&self) -> Slowest {
        Slowest { grace: self.body_pause, bytes_per_second: self.body_bytes_per_second as u64 }
    }
}

/// A number of the file as the type that the code works with.
trait FromNumber {
    fn from_number(number: u64) -> Self;
}

impl FromNumber for usize {
    fn from_number(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl FromNumber for Duration {
    fn from_number(seconds: u64) -> Self {
        Self::from_secs(seconds)
    }
}

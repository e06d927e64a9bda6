//! An instance as pingora connects to it, and how long it may take for what.

use std::net::SocketAddr;
use std::time::Duration;

use karman_contract::code::Code;
use pingora_core::upstreams::peer::{H1UpgradePolicy, HttpPeer};
use pingora_error::Result;

use super::{Proxy, stop};
use crate::caller::Caller;
use crate::exchange::Exchange;

/// An instance that takes no bytes for this long is not working on the request.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

impl Proxy {
    pub(super) fn peer(&self, address: SocketAddr, x: &mut Exchange) -> Result<HttpPeer> {
        let Some(app) = &x.app else { return Err(stop(x, Code::Internal)) };
        let timeouts = &app.wire.timeouts;
        let mut peer = HttpPeer::new(address, false, String::new());
        let connect = Exchange::seconds(timeouts.connect_seconds);
        peer.options.connection_timeout = Some(connect);
        peer.options.total_connection_timeout = Some(connect);
        // pingora knows one time for every read, and takes no other once the answer has begun. On HTTP/1.1 the wait for the first
        // byte ends at a deadline of ours, in the client's connection; a stream of HTTP/2 has nothing that we could end.
        peer.options.read_timeout = Some(Exchange::seconds(timeouts.idle_seconds).max(first_byte_timeout(x)));
        peer.options.write_timeout = Some(WRITE_TIMEOUT);
        // Sockets have a path of their own; here an app's 101 would be one that nobody asked for.
        peer.options.http_upstream_request_policy.h1_upgrade = H1UpgradePolicy::Deny;
        peer.options.idle_timeout = Some(self.edge.settings.limits.upstream_idle);
        Ok(peer)
    }
}

/// How long the app may take to begin its answer. A SockJS poll begins when there is news, or a
/// heartbeat: it may be silent for as long as an answer may be.
pub(super) fn first_byte_timeout(x: &Exchange) -> Duration {
    let Some(app) = &x.app else { return Duration::MAX };
    let timeouts = &app.wire.timeouts;
    let first_byte = Exchange::seconds(timeouts.first_byte_seconds);
    match x.caller {
        Caller::SockJs => first_byte.max(Exchange::seconds(timeouts.idle_seconds)),
        _ => first_byte,
    }
}

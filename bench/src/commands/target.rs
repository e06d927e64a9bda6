//! An edge that an operator names.

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// `http://HOST[:PORT]`, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// What stands in the `Host` field.
    pub(crate) host: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let host = url.strip_prefix("http://").ok_or("wanted http://HOST[:PORT]; the lab's own clients speak no TLS")?;
        let host = host.trim_end_matches('/');
        if host.is_empty() || host.contains('/') {
            return Err("wanted http://HOST[:PORT] without a path".to_owned());
        }
        let named = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = named.to_socket_addrs().map_err(|e| format!("{host}: {e}"))?.next().ok_or("the name has no address")?;
        Ok(Self { address, host: host.to_owned() })
    }
}

//! From a request's head to the host it asks for. Pure.

#[cfg(test)]
mod tests;

use karman_contract::name::Host;

/// The host in a `Host` field: in lower case, without port and without the dot of the root.
///
/// `None` if the field is not `uri-host [ ":" port ]` (RFC 9112 section 3.2). An address in brackets
/// is well formed, but no app has one: it comes back as it is.
pub fn host(field: &[u8]) -> Option<String> {
    name(field).map(str::to_ascii_lowercase)
}

/// Whether a `Host` field is one.
pub fn is_host(field: &[u8]) -> bool {
    name(field).is_some()
}

fn name(field: &[u8]) -> Option<&str> {
    let field = std::str::from_utf8(field).ok()?;
    let (name, port) = match field.strip_prefix('[') {
        Some(rest) => {
            let (literal, after) = rest.split_once(']')?;
            literal.parse::<std::net::Ipv6Addr>().ok()?;
            let port = if after.is_empty() { "" } else { after.strip_prefix(':')? };
            return port_is_good(port).then_some(field);
        }
        None => field.split_once(':').unwrap_or((field, "")),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_host_byte);
    let good = name.len() <= Host::LENGTH_MAX && name.split('.').all(is_label);
    (good && port_is_good(port)).then_some(name)
}

/// An empty port is allowed by the grammar and means the scheme's own.
fn port_is_good(port: &str) -> bool {
    port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

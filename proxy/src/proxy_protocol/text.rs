//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Endpoints, Flaw, Parsed};

pub(super) const PREFIX: &[u8; 6] = b"PROXY ";

/// The longest line that the specification knows, with its CRLF (section 2.1).
const LINE_BYTES_MAX: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Flaw> {
    let head = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(Parsed::Partial) } else { Err(Flaw::TooLong) };
    };
    let line = head.get(PREFIX.len()..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(Flaw::Line)?;
    let endpoints = match line.split_once(' ').unwrap_or((line, "")) {
        ("TCP4", rest) => Some(endpoints::<Ipv4Addr>(rest)?),
        ("TCP6", rest) => Some(endpoints::<Ipv6Addr>(rest)?),
        // Whatever else stands in the line is not looked at.
        ("UNKNOWN", _) => None,
        _ => return Err(Flaw::Line),
    };
    Ok(Parsed::Whole { bytes: end + 2, endpoints })
}

fn endpoints<A: std::str::FromStr + Into<IpAddr>>(rest: &str) -> Result<Endpoints, Flaw> {
    let mut words = rest.split(' ');
    let mut next = || words.next().ok_or(Flaw::Line);
    let (client, local) = (address::<A>(next()?)?, address::<A>(next()?)?);
    let (client_port, local_port) = (port(next()?)?, port(next()?)?);
    match words.next() {
        None => Ok(Endpoints { client: SocketAddr::new(client, client_port), local: SocketAddr::new(local, local_port) }),
        Some(_) => Err(Flaw::Line),
    }
}

fn address<A: std::str::FromStr + Into<IpAddr>>(word: &str) -> Result<IpAddr, Flaw> {
    word.parse::<A>().map(Into::into).map_err(|_| Flaw::Line)
}

/// A number without sign or leading zero.
fn port(word: &str) -> Result<u16, Flaw> {
    let plain = word == "0" || (word.bytes().all(|byte| byte.is_ascii_digit()) && !word.starts_with('0'));
    word.parse().ok().filter(|_| plain).ok_or(Flaw::Line)
}

//! The PROXY header with which a TCP load balancer says who the client is, versions 1 and 2.
//!
//! [`parse`] is pure and strict: a header is right or the connection ends. What it does not know for
//! certain it does not guess, because an address that is believed here decides who is let in.
//! The format is that of the PROXY protocol specification, revision 2020/03/05.

mod read;
#[cfg(test)]
mod tests;
mod text;

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use read::{Refusals, receive};

/// The longest header that is read, of either version. The specification's own advice for receivers.
pub const HEADER_BYTES_MAX: usize = 536;

/// What no text protocol begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const FIXED_BYTES: usize = 16;
/// Type and length of a TLV, before its value.
const TLV_FIXED_BYTES: usize = 3;

/// The two ends of a connection, as whoever sent the header saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    pub client: SocketAddr,
    /// Where the client connected to.
    pub local: SocketAddr,
}

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header: all of them belong to it, and more has to come.
    Partial,
    /// A whole header of this many bytes; what follows is the client's.
    Whole {
        bytes: usize,
        /// `None`: the balancer speaks for itself (LOCAL) or does not know; the socket's own ends count.
        endpoints: Option<Endpoints>,
    },
}

/// Why these bytes are no header that is accepted. The sender's fault, or that of whoever listed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// They begin neither as version 1 nor as version 2.
    Absent,
    /// The header says that it is, or is, longer than what is read.
    TooLong,
    /// A version 1 line that is not as the specification has it.
    Line,
    /// A version or command that version 2 does not have.
    Command,
    /// A family or protocol that a TCP connection over IP cannot have.
    Family,
    /// Shorter than its own addresses, or with a TLV that reaches beyond its end.
    Length,
}

impl Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no PROXY header, wanted one",
            Self::TooLong => "a PROXY header over the limit of 536 bytes (version 1: 107)",
            Self::Line => "a malformed PROXY line",
            Self::Command => "a PROXY header of an unknown version or command",
            Self::Family => "a PROXY header for something other than TCP over IP",
            Self::Length => "a PROXY header whose length is not that of its parts",
        })
    }
}

impl std::error::Error for Flaw {}

/// Reads a header at the beginning of `bytes`. Never looks beyond [`HEADER_BYTES_MAX`].
pub fn parse(bytes: &[u8]) -> Result<Parsed, Flaw> {
    if begins(bytes, SIGNATURE) {
        return binary(bytes);
    }
    if begins(bytes, text::PREFIX) {
        return text::parse(bytes);
    }
    Err(Flaw::Absent)
}

/// Whether `bytes` begin like `start`, as far as there are any.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(one, other)| one == other)
}

fn binary(bytes: &[u8]) -> Result<Parsed, Flaw> {
    let local = match bytes.get(12) {
        None => return Ok(Parsed::Partial),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(Flaw::Command),
    };
    let (Some(&family), Some(&high), Some(&low)) = (bytes.get(13), bytes.get(14), bytes.get(15)) else {
        return Ok(Parsed::Partial);
    };
    let whole = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if whole > HEADER_BYTES_MAX {
        return Err(Flaw::TooLong);
    }
    let Some(rest) = bytes.get(FIXED_BYTES..whole) else { return Ok(Parsed::Partial) };
    if local {
        // Family and addresses of LOCAL mean nothing (section 2.2).
        return Ok(Parsed::Whole { bytes: whole, endpoints: None });
    }
    let (endpoints, tlvs) = match family {
        // UNSPEC over UNSPEC: the sender does not know, and what follows is not looked at.
        0x00 => (None, &[][..]),
        0x11 => addresses::<4>(rest, |ip| Ipv4Addr::from(ip).into())?,
        0x21 => addresses::<16>(rest, |ip| Ipv6Addr::from(ip).into())?,
        _ => return Err(Flaw::Family),
    };
    skip_tlvs(tlvs)?;
    Ok(Parsed::Whole { bytes: whole, endpoints })
}

/// Both addresses, then both ports, and what follows them.
fn addresses<const N: usize>(rest: &[u8], ip: fn([u8; N]) -> IpAddr) -> Result<(Option<Endpoints>, &[u8]), Flaw> {
    let (source, rest) = rest.split_first_chunk::<N>().ok_or(Flaw::Length)?;
    let (target, rest) = rest.split_first_chunk::<N>().ok_or(Flaw::Length)?;
    let (source_port, rest) = rest.split_first_chunk::<2>().ok_or(Flaw::Length)?;
    let (target_port, rest) = rest.split_first_chunk::<2>().ok_or(Flaw::Length)?;
    let end = |address: &[u8; N], port: &[u8; 2]| SocketAddr::new(ip(*address), u16::from_be_bytes(*port));
    Ok((Some(Endpoints { client: end(source, source_port), local: end(target, target_port) }), rest))
}

/// None of them is needed here; each has to end where the header says.
fn skip_tlvs(mut rest: &[u8]) -> Result<(), Flaw> {
    while !rest.is_empty() {
        let (Some(&high), Some(&low)) = (rest.get(1), rest.get(2)) else { return Err(Flaw::Length) };
        let end = TLV_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
        rest = rest.get(end..).ok_or(Flaw::Length)?;
    }
    Ok(())
}

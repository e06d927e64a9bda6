//! The fields of a head: their form, and those that decide where the request goes and where it ends.

use std::ops::Range;

use karman_contract::code::Code;

use super::bytes::{is_token, is_value, token_bytes};
use super::{HeadLimits, Refusal, bad};
use crate::framing::Framing;
use crate::routing;

/// Names that a `Connection` field may ask for; pingora holds 9.
const NOMINATIONS_MAX: usize = 8;

/// The only expectation there is (RFC 9110 section 10.1.1).
const CONTINUE: &[u8] = b"100-continue";

/// Names that nobody may have removed on the way, by naming them in `Connection`: the app would decide
/// by what is missing (RFC 9110 section 7.6.1 lets only hop-by-hop fields be named there).
const PROTECTED: [&str; 11] = [
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Names that mean something to the edge or to the apps' trust in it. Many a framework reads `_` as
/// `-`, so such a twin is dropped.
const TWINNED: [&str; 20] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "origin",
    "proxy",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// What the fields so far say.
#[derive(Debug, Default)]
pub(super) struct Fields {
    count: usize,
    host: Option<Range<usize>>,
    content_length: Option<u64>,
    is_chunked: bool,
    expects_continue: bool,
    nominations: usize,
    stops_here: bool,
    has_unwanted: bool,
}

impl Fields {
    pub(super) fn add(&mut self, bytes: &[u8], place: Range<usize>, limits: &HeadLimits) -> Result<(), Refusal> {
        self.count += 1;
        if self.count > limits.fields {
            return Err(Refusal::new(Code::HeadersTooLarge, "more fields than allowed"));
        }
        let line = bytes.get(place.clone()).unwrap_or_default();
        let (name, value) = split(line)?;
        self.has_unwanted |= is_unwanted(name, value);
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.host.is_some() {
                    return Err(bad("more than one Host field"));
                }
                if !routing::is_host(value) {
                    return Err(bad("a Host field that is no host"));
                }
                let end = place.start + line.trim_ascii_end().len();
                self.host = Some(end - value.len()..end);
            }
            6 if name.eq_ignore_ascii_case(b"expect") => self.expects_continue |= value.eq_ignore_ascii_case(CONTINUE),
            10 if name.eq_ignore_ascii_case(b"connection") => self.nominate(value)?,
            12 => self.stops_here |= is_last_stop(name, value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.content_length.is_some() {
                    return Err(bad("more than one Content-Length field"));
                }
                self.content_length = Some(length(value).ok_or(bad("a Content-Length that is no number"))?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.is_chunked {
                    return Err(bad("more than one Transfer-Encoding field"));
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(bad("a Transfer-Encoding that is not chunked"));
                }
                self.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn nominate(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()) {
            self.nominations += 1;
            if self.nominations > NOMINATIONS_MAX || !is_token(name) {
                return Err(bad("a Connection field with too many names, or one that is none"));
            }
            if PROTECTED.iter().any(|protected| protected.as_bytes().eq_ignore_ascii_case(name)) {
                return Err(bad("a Connection field that names what must go on"));
            }
        }
        Ok(())
    }

    /// What can only be said of all fields together.
    pub(super) fn check(&self, minor_version: u8, method: &[u8]) -> Result<(), Refusal> {
        if self.host.is_none() {
            return Err(bad("no Host field"));
        }
        // Whichever of the two a reader goes by, another goes by the other: request smuggling.
        if self.is_chunked && self.content_length.is_some() {
            return Err(bad("both Transfer-Encoding and Content-Length"));
        }
        if self.is_chunked && minor_version == 0 {
            return Err(bad("a Transfer-Encoding in HTTP/1.0"));
        }
        check_stop(method, self.stops_here)
    }

    pub(super) fn framing(&self) -> Framing {
        if self.is_chunked { Framing::chunked() } else { Framing::length(self.content_length.unwrap_or(0)) }
    }

    /// Where the value of `Host` stands.
    pub(super) fn host(&self) -> Range<usize> {
        self.host.clone().unwrap_or_default()
    }

    pub(super) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    pub(super) fn has_unwanted(&self) -> bool {
        self.has_unwanted
    }
}

/// The name and the value, without the space around it (RFC 9112 section 5).
pub(super) fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(bad("a field that is folded over two lines"));
    }
    let (name, rest) = line.split_at(token_bytes(line));
    let value = rest.strip_prefix(b":").filter(|_| !name.is_empty()).ok_or(bad("a field without a proper name"))?;
    if !is_value(value) {
        return Err(bad("a control character in a field"));
    }
    Ok((name, value.trim_ascii()))
}

/// Whether a request goes no further than to the next server (RFC 9110 section 7.6.2).
pub(super) fn is_last_stop(name: &[u8], value: &[u8]) -> bool {
    value == b"0" && name.eq_ignore_ascii_case(b"max-forwards")
}

pub(super) fn check_stop(method: &[u8], is_last: bool) -> Result<(), Refusal> {
    if is_last && method == b"OPTIONS" {
        return Err(Refusal::new(Code::MethodNotAllowed, "a request that is meant for the edge itself"));
    }
    Ok(())
}

/// Whether a field does not go on to the app.
pub fn is_unwanted(name: &[u8], value: &[u8]) -> bool {
    match name.len() {
        6 if name.eq_ignore_ascii_case(b"expect") => !value.eq_ignore_ascii_case(CONTINUE),
        2..=17 => name.contains(&b'_') && TWINNED.iter().any(|other| is_twin(name, other.as_bytes())),
        _ => false,
    }
}

fn is_twin(name: &[u8], other: &[u8]) -> bool {
    let same = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (*a == b'_' && *b == b'-');
    name.len() == other.len() && name.iter().zip(other).all(same)
}

/// One or more digits and nothing else (RFC 9110 section 8.6); at most what a signed 64-bit number holds.
fn length(value: &[u8]) -> Option<u64> {
    const DIGITS_MAX: usize = 18;
    let all_digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if !all_digits || value.len() > DIGITS_MAX {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

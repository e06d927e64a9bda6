//! The target of a request: its form, its bytes, and the host that it may name.

use karman_contract::code::Code;

use super::bytes::is_target;
use super::{Refusal, bad};
use crate::routing;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Origin,
    /// Sent to proxies (RFC 9112 section 3.2.2); goes on in origin form.
    Absolute,
}

pub(super) fn form(method: &[u8], target: &[u8]) -> Result<Form, Refusal> {
    if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(Refusal::new(Code::MethodNotAllowed, "a method that no app may have"));
    }
    if !is_target(target) {
        return Err(bad("a byte in the target that must be escaped"));
    }
    let (form, path) = match target.first() {
        Some(b'/') => (Form::Origin, target),
        _ => (Form::Absolute, split(target).ok_or(bad("a target that is neither a path nor a URL"))?.1),
    };
    // In a query browsers leave these as they are, in a path never. A backslash some take for a slash.
    let end = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
    if path.get(..end).is_some_and(|path| path.iter().any(|byte| matches!(byte, b'\\' | b'`'))) {
        return Err(bad("a backslash or backtick in the path"));
    }
    Ok(form)
}

/// The authority of a target in absolute form, and what follows it.
pub(super) fn split(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = target.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = target.split_at(colon);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = rest.strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// RFC 9112 lets the target win over a `Host` that differs; whoever sends both means harm.
pub(super) fn agrees(target: &[u8], host: &[u8]) -> Result<(), Refusal> {
    let authority = split(target).map(|(authority, _)| authority).unwrap_or_default();
    if routing::host(authority).is_some() && authority.eq_ignore_ascii_case(host) {
        return Ok(());
    }
    Err(bad("a target and a Host field that differ"))
}

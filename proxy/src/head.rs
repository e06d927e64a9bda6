//! A request's head at the border: what is refused before anything else reads it. Pure.
//!
//! Stricter than HTTP asks for, wherever two readers of the same bytes could disagree about them
//! (RFC 9112 section 11.2). `proxy/BAD-INPUT.md` has every rule, by its row.

mod bytes;
mod fields;
mod rewrite;
mod target;
#[cfg(test)]
mod tests;

use std::ops::Range;

use karman_contract::code::Code;

use self::bytes::is_token;
pub use self::fields::is_unwanted;

use self::fields::Fields;
use self::target::Form;
use crate::framing::Framing;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    pub target_bytes: usize,
    /// All fields together, from the end of the request line to the empty line.
    pub fields_bytes: usize,
    pub fields: usize,
}

/// What is known of the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The head is not whole yet, and good so far.
    More,
    Whole(Head),
    Refused(Refusal),
}

/// A head that may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where the request line begins, and where the head ends.
    pub place: Range<usize>,
    pub framing: Framing,
    /// The client sends its body once the app tells it to.
    pub expects_continue: bool,
    /// It is good, but not as it stands: [`Head::rewritten`] is what goes on.
    pub needs_rewriting: bool,
}

/// Why a head goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// For the log: what was found.
    pub why: &'static str,
}

impl Refusal {
    pub const fn new(code: Code, why: &'static str) -> Self {
        Self { code, why }
    }
}

const fn bad(why: &'static str) -> Refusal {
    Refusal::new(Code::BadRequest, why)
}

/// The longest method: every registered one is shorter.
const METHOD_BYTES_MAX: usize = 32;
/// Of a request line, beside method and target: two spaces and the version.
const VERSION_BYTES: usize = " HTTP/1.1".len();
/// Empty lines before a request line: some clients send one after a body (RFC 9112 section 2.2).
const EMPTY_LINES_MAX: usize = 1;

/// Reads a head as it comes in: each byte is looked at once, however few come at a time.
#[derive(Debug, Default)]
pub struct Scan {
    /// Where the line begins that has not ended yet.
    line_at: usize,
    /// Up to where the bytes hold no end of a line.
    searched: usize,
    empty_lines: usize,
    request_line: Option<RequestLine>,
    fields: Fields,
}

#[derive(Clone, Debug)]
struct RequestLine {
    place: Range<usize>,
    method: Range<usize>,
    target: Range<usize>,
    form: Form,
    minor_version: u8,
}

impl Scan {
    /// Looks at what came since the last call. `bytes` is everything that came so far.
    pub fn look(&mut self, bytes: &[u8], limits: &HeadLimits) -> Verdict {
        match self.go_on(bytes, limits) {
            Ok(None) => Verdict::More,
            Ok(Some(head)) => Verdict::Whole(head),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    fn go_on(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<Head>, Refusal> {
        while let Some(found) = memchr::memchr(b'\n', bytes.get(self.searched..).unwrap_or_default()) {
            let end = self.searched + found;
            let line = bytes.get(self.line_at..end).and_then(|line| line.strip_suffix(b"\r"));
            let line = line.ok_or(bad("a line that ends without CR"))?;
            let line_at = self.line_at;
            self.line_at = end + 1;
            self.searched = end + 1;
            match &self.request_line {
                None if line.is_empty() => {
                    self.empty_lines += 1;
                    if self.empty_lines > EMPTY_LINES_MAX {
                        return Err(bad("empty lines before the request line"));
                    }
                }
                None => self.request_line = Some(request_line(line, line_at, limits)?),
                Some(first) if line.is_empty() => return self.end(first, bytes, limits).map(Some),
                Some(_) => self.fields.add(bytes, line_at..line_at + line.len(), limits)?,
            }
        }
        self.searched = bytes.len();
        let unfinished = bytes.get(self.line_at..).unwrap_or_default();
        match &self.request_line {
            None => begins_well(unfinished, limits)?,
            Some(first) => check_size(first, bytes.len(), limits)?,
        }
        Ok(None)
    }

    fn end(&self, first: &RequestLine, bytes: &[u8], limits: &HeadLimits) -> Result<Head, Refusal> {
        check_size(first, self.line_at, limits)?;
        let method = bytes.get(first.method.clone()).unwrap_or_default();
        self.fields.check(first.minor_version, method)?;
        if first.form == Form::Absolute {
            let target = bytes.get(first.target.clone()).unwrap_or_default();
            let host = bytes.get(self.fields.host()).unwrap_or_default();
            target::agrees(target, host)?;
        }
        Ok(Head {
            place: first.place.start..self.line_at,
            framing: self.fields.framing(),
            expects_continue: self.fields.expects_continue(),
            needs_rewriting: first.form == Form::Absolute || self.fields.has_unwanted(),
        })
    }
}

/// Judges the head of a request that came by HTTP/2: a library has read it, and has judged names, values and pseudo fields.
pub fn judge_http2<'h>(
    method: &[u8],
    target: &[u8],
    mut fields: impl Iterator<Item = (&'h [u8], &'h [u8])>,
) -> Result<(), Refusal> {
    check_method(method)?;
    // A target in absolute form is not there either: what it would say stands in pseudo fields (RFC 9113 section 8.3.1).
    if target::form(method, target)? == Form::Absolute {
        return Err(bad("a target that is no path"));
    }
    fields::check_stop(method, fields.any(|(name, value)| fields::is_last_stop(name, value)))
}

/// What goes on in place of a head that needs rewriting.
impl Head {
    pub fn rewritten(&self, bytes: &[u8]) -> Vec<u8> {
        rewrite::rewrite(bytes.get(self.place.clone()).unwrap_or_default())
    }
}

fn check_size(first: &RequestLine, read: usize, limits: &HeadLimits) -> Result<(), Refusal> {
    if read.saturating_sub(first.place.end) > limits.fields_bytes {
        return Err(Refusal::new(Code::HeadersTooLarge, "more bytes of fields than allowed"));
    }
    Ok(())
}

/// Whether the beginning of a request line can still become one. Whoever speaks TLS or something else
/// here hears of it at once, and not at the deadline.
fn begins_well(line: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
    let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let method = if method.len() == line.len() { method.strip_suffix(b"\r").unwrap_or(method) } else { method };
    check_method(method)?;
    if line.len() > METHOD_BYTES_MAX + 1 + limits.target_bytes + VERSION_BYTES {
        return Err(Refusal::new(Code::UriTooLong, "a longer target than allowed"));
    }
    Ok(())
}

fn check_method(method: &[u8]) -> Result<(), Refusal> {
    if method.len() > METHOD_BYTES_MAX || !is_token(method) {
        return Err(bad("no method at the start"));
    }
    Ok(())
}

fn request_line(line: &[u8], at: usize, limits: &HeadLimits) -> Result<RequestLine, Refusal> {
    let method_bytes = line.iter().position(|byte| *byte == b' ').ok_or(bad("a request line without target"))?;
    let (method, rest) = line.split_at(method_bytes);
    check_method(method)?;
    if method.is_empty() {
        return Err(bad("no method at the start"));
    }
    let rest = rest.get(1..).unwrap_or_default();
    let target_bytes = rest.iter().position(|byte| *byte == b' ').ok_or(bad("a request line without version"))?;
    let (target, version) = rest.split_at(target_bytes);
    if target.len() > limits.target_bytes {
        return Err(Refusal::new(Code::UriTooLong, "a longer target than allowed"));
    }
    let minor_version = match version {
        b" HTTP/1.1" => 1,
        b" HTTP/1.0" => 0,
        _ => return Err(bad("a version that is not HTTP/1.0 or HTTP/1.1")),
    };
    let form = target::form(method, target)?;
    let target_at = at + method_bytes + 1;
    Ok(RequestLine {
        place: at..at + line.len(),
        method: at..at + method_bytes,
        target: target_at..target_at + target_bytes,
        form,
        minor_version,
    })
}

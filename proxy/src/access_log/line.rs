//! One line of the access log, as the contract names its fields.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use karman_contract::code::Code;
use serde::{Serialize, Serializer};

use super::text::{Harmless, bounded};

/// No line is longer. The texts of a client are bounded one by one below; all else is short.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// As written, escapes counted.
const PATH_BYTES_MAX: usize = 1_024;
const HOST_BYTES_MAX: usize = 256;
const WORD_BYTES_MAX: usize = 128;

/// What is known of a request when it has been answered, of a tunnel when it opens and when it closes.
#[derive(Clone, Debug, Serialize)]
pub struct AccessLine<'a> {
    #[serde(serialize_with = "at")]
    pub at: Timestamp,
    #[serde(serialize_with = "word")]
    pub edge: &'a str,
    #[serde(serialize_with = "word")]
    pub request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<&'a str>,
    #[serde(serialize_with = "host")]
    pub host: &'a str,
    #[serde(serialize_with = "word")]
    pub method: &'a str,
    #[serde(serialize_with = "path")]
    pub path: &'a str,
    pub status: u16,
    /// Only on an answer that the edge itself made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What was wrong with the request, or with how it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'a str>,
    pub caller: &'a str,
    pub client: IpAddr,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub ms: Milliseconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<&'a str>,
    /// How often the request was sent to an instance.
    pub tries: u32,
    /// The version of TLS; absent in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<&'a str>,
    /// Of the app table that the request was routed by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Who closed a tunnel; this and what follows stand only in its second line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_out: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    pub open_seconds: Option<Duration>,
}

/// Where a request's time went; a phase that did not happen is absent.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Milliseconds {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub queue: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub hold: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub connect: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub first_byte: Option<Duration>,
    #[serde(serialize_with = "total")]
    pub total: Duration,
}

impl AccessLine<'_> {
    /// The line with its newline; `None` if it would be longer than [`LINE_BYTES_MAX`].
    pub fn to_json(&self) -> Option<Vec<u8>> {
        const USUAL_BYTES: usize = 640;
        let mut line = Vec::with_capacity(USUAL_BYTES);
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut line, Harmless)).ok()?;
        line.push(b'\n');
        (line.len() <= LINE_BYTES_MAX).then_some(line)
    }
}

fn at<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

fn path<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bounded(text, PATH_BYTES_MAX))
}

fn host<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bounded(text, HOST_BYTES_MAX))
}

fn word<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bounded(text, WORD_BYTES_MAX))
}

fn milliseconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    total(&time.unwrap_or_default(), serializer)
}

/// In milliseconds, to the microsecond.
fn total<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_micros() as f64 / 1_000.0)
}

/// In seconds, to the millisecond.
fn seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.unwrap_or_default().as_millis() as f64 / 1_000.0)
}

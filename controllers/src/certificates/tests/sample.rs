//! What the tests have in common: names, times, certificates.

use jiff::{SignedDuration, Timestamp};
use karman_contract::name::HostPattern;

use crate::certificates::budget::Limits;
use crate::certificates::entry::{CertificateFile, Source};
use crate::certificates::need::Need;
use crate::certificates::settings::{AcmeCa, Ca, Method, Settings};

pub(super) fn names(names: &[&str]) -> Vec<HostPattern> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(super) fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(hours)
}

/// A certificate that was issued at hour 0 and lives for so many hours.
pub(super) fn certificate(name: &str, hours: i64) -> CertificateFile {
    CertificateFile {
        names: names(&[name]),
        chain: String::new(),
        key: "aes256gcm:00000000:AAAA".parse().unwrap(),
        source: Source::Ordered,
        not_before: at(0),
        not_after: at(hours),
        ca: Some("ca".to_owned()),
        order: None,
        renewal: None,
    }
}

pub(super) fn need(name: &str) -> Need {
    Need { name: name.parse().unwrap(), app: None, way: Ok(Method::Http01) }
}

/// Settings with these CAs.
pub(super) fn settings(cas: &[&str]) -> Settings {
    let ca = |name: &&str| AcmeCa {
        name: (*name).to_owned(),
        directory: String::new(),
        root: None,
        caa: Vec::new(),
        profile: None,
        eab: None,
        limits: Limits::default(),
    };
    Settings { cas: cas.iter().map(|name| Ca::Acme(ca(name))).collect(), ..Settings::none() }
}

//! Whether a certificate may be served: everything that is wrong with it, at once. Pure.

use jiff::Timestamp;
use karman_contract::document::Certificate as Wire;
use karman_contract::name::HostPattern;
use karman_contract::read::Reason;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use super::certificate::{leaf, pair, parse, time};

/// The reasons against a certificate that stands at `at` in its document. Text that is no certificate
/// is refused where the table is built.
pub(super) fn judge(wire: &Wire, at: &str, now: Timestamp) -> Vec<Reason> {
    let Ok(der) = leaf(&wire.chain) else { return Vec::new() };
    let Ok(parsed) = parse(&der) else { return Vec::new() };
    let mut reasons = Vec::new();
    if let Err((field, why)) = pair(&wire.chain, &wire.key) {
        reasons.push(Reason::new(format!("{at}.{field}"), why));
    }
    let (from, until) = (time(parsed.validity().not_before.timestamp()), time(parsed.validity().not_after.timestamp()));
    if now < from {
        reasons.push(Reason::new(format!("{at}.chain"), format!("it is not valid before {from}")));
    }
    if now >= until {
        reasons.push(Reason::new(format!("{at}.chain"), format!("it expired at {until}")));
    }
    for (index, pattern) in wire.names.iter().enumerate().filter(|(_, pattern)| !names(&parsed, pattern)) {
        reasons.push(Reason::new(format!("{at}.names[{index}]"), format!("the certificate is not for '{pattern}'")));
    }
    reasons
}

/// Whether the certificate says this name (RFC 9525: only its alternative names count).
fn names(certificate: &X509Certificate<'_>, pattern: &HostPattern) -> bool {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return false };
    alternatives.value.general_names.iter().any(|name| match (name, pattern) {
        (GeneralName::DNSName(found), HostPattern::Below(domain)) => {
            found.strip_prefix("*.").is_some_and(|found| found.eq_ignore_ascii_case(domain.as_str()))
        }
        (GeneralName::DNSName(found), HostPattern::Exact(host)) => {
            let wildcard = found.strip_prefix("*.").zip(host.as_str().split_once('.'));
            found.eq_ignore_ascii_case(host.as_str())
                || wildcard.is_some_and(|(domain, (_, above))| domain.eq_ignore_ascii_case(above))
        }
        (GeneralName::IPAddress(octets), HostPattern::Exact(host)) => {
            let address = <[u8; 4]>::try_from(*octets).ok().map(std::net::Ipv4Addr::from);
            address.is_some_and(|address| host.as_str() == address.to_string())
        }
        _ => false,
    })
}

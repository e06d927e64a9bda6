//! A look at the DNS of a name before anything is ordered for it: a CA counts failures, our own resolver does not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use karman_contract::name::HostPattern;

use super::settings::{Method, Settings};
use super::trouble::Trouble;
use crate::failure::Failure;

/// A server that does not answer within this is asked once more, then another.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const CACHE_AT_MOST: Duration = Duration::from_secs(5);

pub struct Resolver {
    resolver: TokioResolver,
}

/// The names of one set of CAA records (RFC 8659), by which CAs know themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caa {
    pub issue: Option<Vec<String>>,
    pub issue_wildcard: Option<Vec<String>>,
}

impl Caa {
    /// Whether a CA with one of these names may certify the name.
    pub fn allows(&self, ca: &[String], name: &HostPattern) -> bool {
        let listed = match name {
            HostPattern::Below(_) => self.issue_wildcard.as_ref().or(self.issue.as_ref()),
            HostPattern::Exact(_) => self.issue.as_ref(),
        };
        // A CA whose names nobody told us is asked: it knows them itself.
        listed.is_none_or(|listed| ca.is_empty() || listed.iter().any(|one| ca.contains(one)))
    }

    fn add(&mut self, tag: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        let issuer = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let list = match tag.to_ascii_lowercase().as_str() {
            "issue" => &mut self.issue,
            "issuewild" => &mut self.issue_wildcard,
            _ => return,
        };
        list.get_or_insert_default().push(issuer);
    }
}

impl Resolver {
    /// Asks these servers; none: those of the machine.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, Failure> {
        let unusable = |error: NetError| Failure::data(format!("the DNS resolver: {error}"));
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(unusable)?
        } else {
            let servers = servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = ANSWER_WITHIN;
        options.positive_max_ttl = Some(CACHE_AT_MOST);
        options.negative_max_ttl = Some(CACHE_AT_MOST);
        Ok(Self { resolver: builder.build().map_err(unusable)? })
    }

    /// Whether the name points here, where that matters, and which CAs its owner allows.
    pub async fn look(&self, name: &HostPattern, method: Method, settings: &Settings) -> Result<Caa, Trouble> {
        if let (HostPattern::Exact(host), Method::Http01 | Method::TlsAlpn01) = (name, method) {
            check_addresses(host.as_str(), &self.addresses(host.as_str()).await?, &settings.addresses)?;
        }
        self.caa(name.name()).await
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Trouble> {
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            match self.resolver.lookup(absolute(host), kind).await {
                Ok(answer) => found.extend(answer.answers().iter().filter_map(|record| record.data.ip_addr())),
                Err(error) if error.is_no_records_found() => {}
                Err(error) => return Err(Trouble::of_the_name(format!("{host} cannot be looked up: {error}"))),
            }
        }
        Ok(found)
    }

    /// The CAA records of the name, or of the closest name above that has some.
    async fn caa(&self, host: &str) -> Result<Caa, Trouble> {
        let mut rest = Some(host);
        while let Some(name) = rest {
            match self.resolver.lookup(absolute(name), RecordType::CAA).await {
                Ok(answer) => {
                    let mut found = None;
                    for record in answer.answers() {
                        if let RData::CAA(caa) = &record.data {
                            found.get_or_insert_with(Caa::default).add(&caa.tag, &caa.value);
                        }
                    }
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(error) if error.is_no_records_found() => {}
                // A CA that cannot look this up has to refuse (RFC 8659 section 3).
                Err(error) => {
                    return Err(Trouble::of_the_name(format!("the CAA records of {name} cannot be looked up: {error}")));
                }
            }
            rest = name.split_once('.').map(|(_, rest)| rest).filter(|rest| !rest.is_empty());
        }
        Ok(Caa::default())
    }
}

/// Every address counts, not one of them: a CA chooses which one it asks.
fn check_addresses(host: &str, found: &[IpAddr], ours: &[IpAddr]) -> Result<(), Trouble> {
    if found.is_empty() {
        return Err(Trouble::of_the_name(format!("{host} has no address in DNS yet")));
    }
    let foreign: Vec<_> = found.iter().filter(|address| !ours.contains(address)).map(ToString::to_string).collect();
    if ours.is_empty() || foreign.is_empty() {
        return Ok(());
    }
    let ours: Vec<_> = ours.iter().map(ToString::to_string).collect();
    let what = format!("{host} points to {}, not to this platform ({})", foreign.join(", "), ours.join(", "));
    Err(Trouble::of_the_name(what))
}

/// With the dot at the end, so that no search domain is tried.
fn absolute(host: &str) -> String {
    format!("{host}.")
}

//! What `platform.yaml` says under `certificates`: the CAs in order, how names are proven, where they have to point.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use karman_contract::name::{Host, HostPattern};
use karman_contract::read::{At, Fields, Read, Reason, Value};

use super::budget::Limits;

/// The settings of the controller `certificates`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// In the order in which they are asked; none: nothing is ordered.
    pub cas: Vec<Ca>,
    /// Mail addresses that the CA may write to.
    pub contact: Vec<String>,
    /// Where a name has to point before it is ordered; none: anywhere.
    pub addresses: Vec<IpAddr>,
    /// The DNS servers that are asked where a name points; none: those of the machine.
    pub resolvers: Vec<SocketAddr>,
    /// How hosts are proven; wildcards are always proven through DNS.
    pub method: Method,
    pub dns: Option<Dns>,
    /// How long edges may take to have what a CA is about to look for.
    pub propagation: Duration,
}

/// Who issues.
#[derive(Clone, Debug, PartialEq)]
pub enum Ca {
    /// A CA of this store's own, for one machine: nobody else trusts it, and it needs no network.
    Local,
    Acme(AcmeCa),
}

impl Ca {
    pub const LOCAL: &'static str = "local";

    pub fn name(&self) -> &str {
        match self {
            Self::Local => Self::LOCAL,
            Self::Acme(ca) => &ca.name,
        }
    }
}

/// A CA that speaks ACME (RFC 8555).
#[derive(Clone, Debug, PartialEq)]
pub struct AcmeCa {
    pub name: String,
    pub directory: String,
    /// A root in PEM that is trusted for the CA's own HTTPS, instead of the machine's.
    pub root: Option<PathBuf>,
    /// The names by which domains allow this CA in their CAA records (RFC 8659).
    pub caa: Vec<String>,
    pub profile: Option<String>,
    pub eab: Option<Eab>,
    pub limits: Limits,
}

/// An account that was opened with the CA by other means (RFC 8555 section 7.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eab {
    pub kid: String,
    /// A file with the MAC key in base64url, so that no secret stands in `platform.yaml`.
    pub key_file: PathBuf,
}

/// How a name is proven to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Http01,
    TlsAlpn01,
    Dns01,
    /// The local CA believes us.
    None,
}

impl Method {
    const WORDS: [(&'static str, Self); 3] =
        [("http-01", Self::Http01), ("tls-alpn-01", Self::TlsAlpn01), ("dns-01", Self::Dns01)];
}

/// Who writes TXT records for us, and in which zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    pub zones: Vec<Host>,
    /// A program and its first arguments; see [`crate::certificates::txt::hook`].
    pub hook: Vec<String>,
}

const PROPAGATION_SECONDS: u64 = 10;
const PROPAGATION_SECONDS_MAX: u64 = 600;
const CAS_MAX: usize = 8;

impl Settings {
    /// Nothing is ordered.
    pub fn none() -> Self {
        Self {
            cas: Vec::new(),
            contact: Vec::new(),
            addresses: Vec::new(),
            resolvers: Vec::new(),
            method: Method::Http01,
            dns: None,
            propagation: Duration::from_secs(PROPAGATION_SECONDS),
        }
    }

    pub fn is_local(&self) -> bool {
        matches!(self.cas.as_slice(), [Ca::Local])
    }

    /// The CAs that speak ACME, in the order in which they are asked.
    pub fn acme(&self) -> impl Iterator<Item = &AcmeCa> {
        self.cas.iter().filter_map(|ca| if let Ca::Acme(ca) = ca { Some(ca) } else { None })
    }

    /// Whether a provider of ours can prove this name through DNS.
    pub fn has_zone(&self, name: &HostPattern) -> bool {
        let zones = self.dns.iter().flat_map(|dns| &dns.zones);
        self.is_local() || zones.into_iter().any(|zone| is_in_zone(name.name(), zone.as_str()))
    }
}

fn is_in_zone(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl Read for Settings {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let cas = fields.or(reasons, "cas", Vec::<Ca>::new());
        let contact = fields.or(reasons, "contact", Vec::new());
        let addresses = parsed(&mut fields, reasons, "addresses");
        let resolvers = parsed(&mut fields, reasons, "resolvers");
        let method = fields.field("method").map_or(Some(Method::Http01), |at| at.word(reasons, &Method::WORDS));
        let dns = fields.optional(reasons, "dns");
        let propagation = fields.integer(reasons, "propagation_seconds", PROPAGATION_SECONDS, 0, PROPAGATION_SECONDS_MAX);
        fields.finish(reasons);
        let cas = cas?;
        check_cas(at, &cas, reasons);
        Some(Self {
            cas,
            contact: contact?,
            addresses: addresses?,
            resolvers: resolvers?,
            method: method?,
            dns: dns?,
            propagation: Duration::from_secs(propagation?),
        })
    }
}

fn check_cas(at: &At<'_>, cas: &[Ca], reasons: &mut Vec<Reason>) {
    if cas.len() > CAS_MAX {
        at.refuse(reasons, format!("found {} CAs, wanted at most {CAS_MAX}", cas.len()));
    }
    if cas.len() > 1 && cas.contains(&Ca::Local) {
        at.refuse(reasons, "the local CA stands alone: nobody who asks another CA wants what this one issues");
    }
    for (index, ca) in cas.iter().enumerate() {
        if cas[..index].iter().any(|other| other.name() == ca.name()) {
            at.refuse(reasons, format!("two CAs are named '{}'", ca.name()));
        }
    }
}

impl Read for Ca {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        match &at.node().value {
            Value::String(word) if word == Self::LOCAL => Some(Self::Local),
            Value::String(_) => {
                at.wanted(reasons, "'local', or a CA with its name and directory");
                None
            }
            _ => AcmeCa::read(at, reasons).map(Self::Acme),
        }
    }
}

impl Read for AcmeCa {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let name: Option<String> = fields.required(reasons, "name");
        let directory: Option<String> = fields.required(reasons, "directory");
        let root: Option<Option<String>> = fields.optional(reasons, "root");
        let caa = fields.or(reasons, "caa", Vec::new());
        let profile = fields.optional(reasons, "profile");
        let eab = fields.optional(reasons, "eab");
        let limits = fields.or(reasons, "limits", Limits::default());
        fields.finish(reasons);
        let (name, directory) = (name?, directory?);
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=32).contains(&name.len()) || !name.bytes().all(is_plain) || name == Ca::LOCAL {
            at.refuse(reasons, format!("a CA is named by 1 to 32 of a-z, 0-9 and '-', and not '{}'", Ca::LOCAL));
        }
        if !directory.starts_with("https://") {
            at.refuse(reasons, "'directory' is the https:// address of the CA's directory");
        }
        let root = root?.map(PathBuf::from);
        Some(Self { name, directory, root, caa: caa?, profile: profile?, eab: eab?, limits: limits? })
    }
}

impl Read for Eab {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let kid = fields.required(reasons, "kid");
        let key_file: Option<String> = fields.required(reasons, "key_file");
        fields.finish(reasons);
        Some(Self { kid: kid?, key_file: key_file?.into() })
    }
}

impl Read for Limits {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let default = Self::default();
        let mut fields = at.fields(reasons)?;
        let orders = fields.integer(reasons, "orders_per_3_hours", default.orders, 1, u32::MAX);
        let per_domain = fields.integer(reasons, "per_domain_per_week", default.per_domain, 1, u32::MAX);
        let same_names = fields.integer(reasons, "same_names_per_week", default.same_names, 1, u32::MAX);
        fields.finish(reasons);
        Some(Self { orders: orders?, per_domain: per_domain?, same_names: same_names? })
    }
}

impl Read for Dns {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let zones: Option<Vec<Host>> = fields.required(reasons, "zones");
        let hook: Option<Vec<String>> = fields.required(reasons, "hook");
        fields.finish(reasons);
        let (zones, hook) = (zones?, hook?);
        if hook.is_empty() {
            at.refuse(reasons, "'hook' is a program and its first arguments");
        }
        Some(Self { zones, hook })
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    fields: &mut Fields<'_>,
    reasons: &mut Vec<Reason>,
    name: &'static str,
) -> Option<Vec<T>> {
    let Some(at) = fields.field(name) else { return Some(Vec::new()) };
    let texts: Vec<Parsed<T>> = at.list(reasons)?;
    Some(texts.into_iter().map(|parsed| parsed.0).collect())
}

struct Parsed<T>(T);

impl<T: std::str::FromStr<Err: std::fmt::Display>> Read for Parsed<T> {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.parse(reasons, "an address").map(Self)
    }
}

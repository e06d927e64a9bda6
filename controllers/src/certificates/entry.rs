//! How a certificate stands in the store: `certificates/ID`, its private key sealed.

use jiff::Timestamp;
use karman_contract::document::{Certificate, Secret};
use karman_contract::name::{ContentHash, Host, HostPattern};
use karman_contract::read::{At, Fields, Read, Reason};
use serde::Serialize;

use crate::sealing::{CannotOpen, Sealed, Sealing};

/// The id that a certificate for one host or wildcard has in the store. `_` stands for the star:
/// no CA certifies a name with an underscore, so no other id looks like this one. Names that are too
/// long for a store go by their hash.
pub fn id_of(name: &HostPattern) -> String {
    let id = match name {
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::Below(domain) => format!("_wildcard.{domain}"),
    };
    bearable(id)
}

/// The id of a pair that a person brought. It is none that a certificate has which is ordered: that is for one name, and
/// would take away what the others of the pair have. One for each set of names and kind of key: a client that knows
/// no ECDSA gets the other.
pub fn id_of_brought(names: &[HostPattern], is_rsa: bool) -> String {
    let mut all: Vec<_> = names.iter().map(ToString::to_string).collect();
    all.sort_unstable();
    let first = names.first().map(id_of).unwrap_or_default();
    let hash = ContentHash::of(all.join(" ").as_bytes()).to_string();
    let others = if names.len() > 1 { format!("-{:.12}", hash.trim_start_matches("sha256-")) } else { String::new() };
    bearable(format!("_brought.{first}{others}{}", if is_rsa { "-rsa" } else { "" }))
}

fn bearable(id: String) -> String {
    if id.len() <= ID_BYTES_MAX { id } else { ContentHash::of(id.as_bytes()).to_string() }
}

/// The longest id, with room below what a store takes.
const ID_BYTES_MAX: usize = 190;

/// Where the private key of a certificate belongs, for [`Sealing`].
pub fn place_of_key(id: &str) -> String {
    format!("certificates/{id}")
}

/// A certificate as the store has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CertificateFile {
    pub names: Vec<HostPattern>,
    /// PEM, leaf first, without the root.
    pub chain: String,
    pub key: Sealed,
    pub source: Source,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Which CA of `platform.yaml` issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// When and with what order it was issued, for the budget and for who looks for it at the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderedAs>,
    /// What the CA last said about its renewal (RFC 9773).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal: Option<RenewalWindow>,
}

/// Where a certificate came from, and so who sees to its renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The controller ordered it, and renews it.
    Ordered,
    /// It was brought along from another proxy; the controller renews it.
    Imported,
    /// A person added it, and renews it: the controller steps in only shortly before its end.
    Added,
}

impl Source {
    const WORDS: [(&'static str, Self); 3] = [("ordered", Self::Ordered), ("imported", Self::Imported), ("added", Self::Added)];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Imported => "imported",
            Self::Added => "added",
        }
    }
}

/// The order that a certificate came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderedAs {
    pub at: Timestamp,
    pub url: String,
    /// The CA counts it as the renewal of another, which its limits do not count.
    pub renews: bool,
}

/// When the CA wants a certificate to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RenewalWindow {
    pub start: Timestamp,
    pub end: Timestamp,
    /// The moment in it that was chosen, once for each window.
    pub chosen: Timestamp,
    /// When to ask the CA again.
    pub ask_at: Timestamp,
}

impl CertificateFile {
    /// As it is published to the proxies.
    pub fn open(&self, id: &str, sealing: &Sealing) -> Result<Certificate, CannotOpen> {
        let key = sealing.reveal_text(&place_of_key(id), &self.key)?;
        Ok(Certificate { chain: self.chain.clone(), key: Secret(key), names: self.names.clone() })
    }

    pub fn covers(&self, name: &HostPattern) -> bool {
        self.names.iter().any(|own| covers(own, name))
    }
}

/// Whether a certificate for `own` is good for `name`. A certificate's star stands for one label
/// (RFC 6125 section 6.4.3), so that one for a wildcard never covers all of a deeper name.
pub fn covers(own: &HostPattern, name: &HostPattern) -> bool {
    match (own, name) {
        (HostPattern::Below(domain), HostPattern::Exact(host)) => {
            host.as_str().split_once('.').is_some_and(|(_, rest)| rest == domain.as_str())
        }
        _ => own == name,
    }
}

impl Read for CertificateFile {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let names = fields.required(reasons, "names");
        let chain = fields.required(reasons, "chain");
        let key = fields.required(reasons, "key");
        let source = fields.field("source").map_or(Some(Source::Added), |at| at.word(reasons, &Source::WORDS));
        let not_before = required_time(&mut fields, at, reasons, "not_before");
        let not_after = required_time(&mut fields, at, reasons, "not_after");
        let ca = fields.optional(reasons, "ca");
        let order = fields.optional(reasons, "order");
        let renewal = fields.optional(reasons, "renewal");
        fields.finish(reasons);
        Some(Self {
            names: names?,
            chain: chain?,
            key: key?,
            source: source?,
            not_before: not_before?,
            not_after: not_after?,
            ca: ca?,
            order: order?,
            renewal: renewal?,
        })
    }
}

impl Read for OrderedAs {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let ordered = required_time(&mut fields, at, reasons, "at");
        let url = fields.required(reasons, "url");
        let renews = fields.or(reasons, "renews", false);
        fields.finish(reasons);
        Some(Self { at: ordered?, url: url?, renews: renews? })
    }
}

impl Read for RenewalWindow {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let times = ["start", "end", "chosen", "ask_at"].map(|name| required_time(&mut fields, at, reasons, name));
        fields.finish(reasons);
        let [start, end, chosen, ask_at] = times;
        Some(Self { start: start?, end: end?, chosen: chosen?, ask_at: ask_at? })
    }
}

/// A field that is a time, such as `2026-12-01T00:00:00Z`.
pub fn time(fields: &mut Fields<'_>, reasons: &mut Vec<Reason>, name: &'static str) -> Option<Option<Timestamp>> {
    match fields.field(name) {
        Some(at) => at.parse(reasons, "a time such as '2026-12-01T00:00:00Z'").map(Some),
        None => Some(None),
    }
}

fn required_time(fields: &mut Fields<'_>, at: &At<'_>, reasons: &mut Vec<Reason>, name: &'static str) -> Option<Timestamp> {
    let found = time(fields, reasons, name)?;
    if found.is_none() {
        at.refuse(reasons, format!("the field '{name}' is required"));
    }
    found
}

/// The host that a challenge for a name is about.
pub fn domain_of(name: &HostPattern) -> &Host {
    match name {
        HostPattern::Exact(host) | HostPattern::Below(host) => host,
    }
}

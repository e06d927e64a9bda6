//! One app: its hosts, its instances, and how the edge treats them.
//!
//! Fields stand in alphabetical order, because the canonical form of a document has sorted keys;
//! a test holds them to it.

mod terms;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

use serde::Serialize;

use crate::code::Code;
use crate::name::{AppId, ContentHash, HostPattern, InstanceId, Owner};
use crate::read::{At, Read, Reason, quoted};

pub use terms::{
    AfterCrash, Deny, Drain, DrainSticky, Expect, HealthCheck, InfoFrom, Limits, Note, OnCrash, SockJs, Timeouts, read_net,
};

/// An app as a document describes it, defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct App {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Deny>,
    pub drain: Drain,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    pub hosts: Vec<HostPattern>,
    pub https: Https,
    pub instances: BTreeMap<InstanceId, Instance>,
    pub limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    pub on_crash: OnCrash,
    pub owner: Owner,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pages: BTreeMap<Code, ContentHash>,
    pub sockjs: SockJs,
    pub state: AppState,
    pub sticky: Sticky,
    pub timeouts: Timeouts,
    pub warm_seconds: u32,
}

/// One process of an app.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Instance {
    pub address: SocketAddr,
    /// Only grows; a rollback is a new release.
    pub release: u64,
    pub state: InstanceState,
}

/// A closed list of words, read and written as such.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl Read for $name {
            fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
                at.word(reasons, Self::WORDS)
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Whether an app serves, as its operator wants it.
    AppState { Running "running", Asleep "asleep", Maintenance "maintenance", Stopped "stopped", Suspended "suspended", }
}

words! {
    InstanceState {
        /// Not asked yet whether it answers; takes no requests.
        Starting "starting",
        Ready "ready",
        /// About to go: takes no new clients.
        Draining "draining",
    }
}

words! {
    Https {
        /// HTTP is served until a certificate covers the host, then answered 308.
        Auto "auto",
        Redirect "redirect",
        Allow "allow",
    }
}

words! {
    Sticky { Cookie "cookie", None "none", }
}

/// The longest time that a document may ask for: a day.
pub const SECONDS_MAX: u32 = 86_400;
/// Instances of one app.
pub const INSTANCES_MAX: usize = 1_000;
/// Hosts of one app.
pub const HOSTS_MAX: usize = 1_000;
/// Entries in one app's deny list.
pub const DENY_MAX: usize = 1_000;

impl App {
    /// An app with its defaults, for `id`'s own hosts and instances.
    pub fn new(id: &AppId, hosts: Vec<HostPattern>, instances: BTreeMap<InstanceId, Instance>) -> Self {
        Self {
            deny: Vec::new(),
            drain: Drain::default(),
            health: None,
            hosts,
            https: Https::Auto,
            instances,
            limits: Limits::default(),
            note: None,
            on_crash: OnCrash::default(),
            owner: Owner::from(id),
            pages: BTreeMap::new(),
            sockjs: SockJs::default(),
            state: AppState::Running,
            sticky: Sticky::Cookie,
            timeouts: Timeouts::default(),
            warm_seconds: 30,
        }
    }

    /// Reads an app; its id gives the owner where none is named.
    pub fn read(id: &AppId, at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let hosts = read_hosts(fields.field("hosts"), at, reasons);
        let instances = match fields.field("instances") {
            Some(at) => at.map(reasons).filter(|map| at_most(&at, reasons, map.len(), INSTANCES_MAX)),
            None => {
                at.refuse(reasons, "the field 'instances' is required; '{}' is an app that is down");
                None
            }
        };
        let deny = fields.or(reasons, "deny", Vec::new());
        let drain = fields.or(reasons, "drain", Drain::default());
        let health = fields.optional(reasons, "health");
        let https = fields.or(reasons, "https", Https::Auto);
        let limits = fields.or(reasons, "limits", Limits::default());
        let note = fields.optional(reasons, "note");
        let on_crash = fields.or(reasons, "on_crash", OnCrash::default());
        let owner = fields.or(reasons, "owner", Owner::from(id));
        let pages = match fields.field("pages") {
            Some(at) => at.map(reasons),
            None => Some(BTreeMap::new()),
        };
        let sockjs = fields.or(reasons, "sockjs", SockJs::default());
        let state = fields.or(reasons, "state", AppState::Running);
        let sticky = fields.or(reasons, "sticky", Sticky::Cookie);
        let timeouts = fields.or(reasons, "timeouts", Timeouts::default());
        let warm_seconds = fields.integer(reasons, "warm_seconds", 30, 0, SECONDS_MAX);
        fields.finish(reasons);
        Some(Self {
            deny: deny?,
            drain: drain?,
            health: health?,
            hosts: hosts?,
            https: https?,
            instances: instances?,
            limits: limits?,
            note: note?,
            on_crash: on_crash?,
            owner: owner?,
            pages: pages?,
            sockjs: sockjs?,
            state: state?,
            sticky: sticky?,
            timeouts: timeouts?,
            warm_seconds: warm_seconds?,
        })
    }
}

fn read_hosts(field: Option<At<'_>>, app: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Vec<HostPattern>> {
    let Some(at) = field else {
        app.refuse(reasons, "the field 'hosts' is required");
        return None;
    };
    let hosts: Vec<HostPattern> = at.list(reasons)?;
    if hosts.is_empty() {
        at.refuse(reasons, "found an empty list, wanted at least one host");
        return None;
    }
    if !at_most(&at, reasons, hosts.len(), HOSTS_MAX) {
        return None;
    }
    let mut seen = HashSet::new();
    if let Some(twice) = hosts.iter().find(|host| !seen.insert(*host)) {
        at.refuse(reasons, format!("the host {} stands here twice", quoted(&twice.to_string())));
        return None;
    }
    Some(hosts)
}

fn at_most(at: &At<'_>, reasons: &mut Vec<Reason>, found: usize, max: usize) -> bool {
    if found > max {
        at.refuse(reasons, format!("found {found} entries, wanted at most {max}"));
    }
    found <= max
}

impl Read for Instance {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        let mut fields = at.fields(reasons)?;
        let address = match fields.field("address") {
            Some(at) => at.string(reasons, "an address such as '10.0.3.17:3000'").and_then(|text| {
                let address: Option<SocketAddr> =
                    text.parse().ok().filter(|a: &SocketAddr| a.port() != 0 && !a.ip().is_unspecified());
                if address.is_none() {
                    at.refuse(
                        reasons,
                        format!("found {}, wanted an IP address and a port, such as '10.0.3.17:3000'", quoted(text)),
                    );
                }
                address
            }),
            None => {
                at.refuse(reasons, "the field 'address' is required");
                None
            }
        };
        let release = fields.or(reasons, "release", 0);
        let state = fields.or(reasons, "state", InstanceState::Ready);
        fields.finish(reasons);
        Some(Self { address: address?, release: release?, state: state? })
    }
}

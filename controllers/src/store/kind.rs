//! The kinds of things that stand in a store, each with one writer, and the keys they stand under.

use std::fmt::{self, Display};

use karman_contract::name::AppId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Settings of the controllers. Operator.
    Platform,
    /// Any field of an app, for all of them. Operator.
    Defaults,
    /// Any field of an app, for those on this plan. Operator.
    Plan,
    /// One app. Operator.
    App,
    /// Whether an app runs, by whom and why. The verbs.
    State,
    /// The instances of an app. The `instances` controller, or a person where no scheduler runs.
    Instances,
    /// Instances of an app that an operator drains, whatever their own entry says. `karman drain`.
    Draining,
    /// A page of an owner or of the platform. Operator.
    Page,
    /// A certificate with its key, encrypted. The `certificates` controller.
    Certificate,
    /// How far the order of a certificate is. The `certificates` controller.
    Order,
    /// The keys of cookies and tickets, encrypted. The `keys` verbs.
    Keys,
    /// A network that is blocked, and why. Operator, guards.
    Deny,
    /// An operator's word that what a publisher holds back is meant. `publish --accept`.
    Accepted,
    /// That an edge is alive, and how far it is. `publish`.
    Edge,
    /// What a controller observed, as `status/CONTROLLER/ID`.
    Status,
}

impl Kind {
    pub const ALL: [Self; 15] = [
        Self::Platform,
        Self::Defaults,
        Self::Plan,
        Self::App,
        Self::State,
        Self::Instances,
        Self::Draining,
        Self::Page,
        Self::Certificate,
        Self::Order,
        Self::Keys,
        Self::Deny,
        Self::Accepted,
        Self::Edge,
        Self::Status,
    ];

    /// What the documents of a proxy are put together from.
    pub const PUBLISHED: [Self; 12] = [
        Self::Platform,
        Self::Defaults,
        Self::Plan,
        Self::App,
        Self::State,
        Self::Instances,
        Self::Draining,
        Self::Page,
        Self::Certificate,
        Self::Order,
        Self::Keys,
        Self::Deny,
    ];

    /// The name of the one entry of this kind, or the folder that holds them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Defaults => "defaults",
            Self::Plan => "plans",
            Self::App => "apps",
            Self::State => "state",
            Self::Instances => "instances",
            Self::Draining => "draining",
            Self::Page => "pages",
            Self::Certificate => "certificates",
            Self::Order => "orders",
            Self::Keys => "keys",
            Self::Deny => "deny",
            Self::Accepted => "accepted",
            Self::Edge => "edges",
            Self::Status => "status",
        }
    }

    /// Whether there is only one of it, without an id.
    pub fn is_single(self) -> bool {
        matches!(self, Self::Platform | Self::Defaults)
    }

    /// How the name of a file ends that holds one; all are read alike, since JSON is YAML.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Page => &["html"],
            _ => &["yaml", "json"],
        }
    }

    /// Whether changes are kept with their authors: those of what people decide, not of what is observed
    /// or renewed by machines. Keys have none, so that an old one is gone once it is replaced.
    pub fn has_history(self) -> bool {
        matches!(
            self,
            Self::Platform | Self::Defaults | Self::Plan | Self::App | Self::State | Self::Draining | Self::Page | Self::Deny
        )
    }

    /// Whether only the store's own user may read it.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Certificate | Self::Order | Self::Keys)
    }
}

/// The place of one entry, such as `apps/todos`; the id was not checked yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: Kind,
    /// Empty where there is only one of the kind.
    pub id: Box<str>,
}

/// The longest id of an entry, in bytes: a file's name with room for what ours adds to it.
pub const ID_BYTES_MAX: usize = 200;

impl Key {
    pub fn new(kind: Kind, id: &str) -> Self {
        Self { kind, id: id.into() }
    }

    pub fn single(kind: Kind) -> Self {
        Self::new(kind, "")
    }

    pub fn of(kind: Kind, app: &AppId) -> Self {
        Self::new(kind, app.as_str())
    }

    /// Reads `apps/todos` or `defaults`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, id) = text.split_once('/').map_or((text, ""), |(name, id)| (name, id));
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name)?;
        let key = Self::new(kind, id);
        key.is_writable().then_some(key)
    }

    /// Whether an entry can stand under it in any store: parts of letters, digits, `.`, `-`, `_` and
    /// `@`, none beginning with a dot; one part, or two for a status.
    pub fn is_writable(&self) -> bool {
        if self.kind.is_single() {
            return self.id.is_empty();
        }
        let parts_max = if self.kind == Kind::Status { 2 } else { 1 };
        let is_part = |part: &str| {
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_@".contains(&b))
        };
        self.id.len() <= ID_BYTES_MAX && self.id.split('/').count() <= parts_max && self.id.split('/').all(is_part)
    }

    /// The app that this entry alone belongs to.
    pub fn app(&self) -> Option<AppId> {
        match self.kind {
            Kind::App | Kind::State | Kind::Instances | Kind::Draining => self.id.parse().ok(),
            _ => None,
        }
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.id.is_empty() { Ok(()) } else { write!(f, "/{}", self.id) }
    }
}

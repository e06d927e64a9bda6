//! The store: what stands in it, under which key, and what a look at a key found.
//!
//! Controllers meet here and nowhere else. Today the store is a directory ([`dir`]); all that is
//! above this module speaks of keys and entries, never of files.

use std::fmt::{self, Display};
use std::sync::Arc;

use karman_contract::name::AppId;
use karman_contract::yaml::FileMistakes;

pub mod dir;
pub mod entry;
pub mod revision;

pub use dir::Directory;
pub use entry::Entry;
pub use revision::Revision;

/// What kinds of things stand in a store, each with one writer.
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
    /// A page of an owner or of the platform. Operator.
    Page,
}

impl Kind {
    pub const ALL: [Self; 7] = [Self::Platform, Self::Defaults, Self::Plan, Self::App, Self::State, Self::Instances, Self::Page];

    /// The name of the one entry of this kind, or the folder that holds them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Defaults => "defaults",
            Self::Plan => "plans",
            Self::App => "apps",
            Self::State => "state",
            Self::Instances => "instances",
            Self::Page => "pages",
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
}

/// The place of one entry, such as `apps/todos`; the id was not checked yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: Kind,
    /// Empty where there is only one of the kind.
    pub id: Box<str>,
}

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

    /// The app that this entry alone belongs to.
    pub fn app(&self) -> Option<AppId> {
        match self.kind {
            Kind::App | Kind::State | Kind::Instances => self.id.parse().ok(),
            Kind::Platform | Kind::Defaults | Kind::Plan | Kind::Page => None,
        }
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.id.is_empty() { Ok(()) } else { write!(f, "/{}", self.id) }
    }
}

/// What a look at one key found.
#[derive(Clone, Debug, Default)]
pub enum Found {
    #[default]
    Nothing,
    Entry(Arc<Entry>),
    /// Something stands there that cannot be used: half-written, mistyped or unreadable.
    Broken(FileMistakes),
}

impl Found {
    pub fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Entry(entry) => Some(entry),
            Self::Nothing | Self::Broken(_) => None,
        }
    }
}

//! A DNS record as Route 53 knows it: values or an alias, one of several under a name, or alone.

use std::fmt::{self, Display};
use std::str::FromStr;

use karman_contract::name::Host;
use serde::Serialize;

/// A name in a zone: lower case, without the closing dot, `*` for the wildcard label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(Box<str>);

impl Name {
    /// A name as the service writes it: `\052` for `*`, and a closing dot.
    pub fn of_service(text: &str) -> Self {
        Self(text.strip_suffix('.').unwrap_or(text).replace("\\052", "*").to_ascii_lowercase().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is `domain` or below it.
    pub fn is_within(&self, domain: &Self) -> bool {
        self.0.strip_suffix(&*domain.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl From<&Host> for Name {
    fn from(host: &Host) -> Self {
        Self(host.as_str().into())
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The types that are written here; what others put into a zone is only told apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    A,
    Aaaa,
    Cname,
    Txt,
    Other(Box<str>),
}

impl RecordType {
    pub fn as_str(&self) -> &str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
            Self::Other(name) => name,
        }
    }
}

impl FromStr for RecordType {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::A, Self::Aaaa, Self::Cname, Self::Txt];
        let found = known.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text));
        Ok(found.unwrap_or_else(|| Self::Other(text.into())))
    }
}

/// What belongs to one owner as a whole: all records of a name and type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKey {
    pub name: Name,
    pub kind: RecordType,
}

impl Display for SetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.kind.as_str())
    }
}

/// One record set of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: SetKey,
    pub routing: Routing,
    pub answer: Answer,
    pub health_check: Option<Box<str>>,
}

/// Which of the records under one name and type is answered with. All of them route by the same rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// There is only this one.
    Simple,
    /// The region that is nearest to who asks. `id` tells records of one name apart.
    Latency { id: Box<str>, region: Box<str> },
    /// In proportion to the weights, from 0 to 255.
    Weighted { id: Box<str>, weight: u8 },
    /// A rule that is never written here.
    Other { id: Box<str> },
}

impl Routing {
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Simple => None,
            Self::Latency { id, .. } | Self::Weighted { id, .. } | Self::Other { id } => Some(id),
        }
    }

    /// Whether records of both kinds can stand under one name, as far as the rule goes.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Values {
        ttl_seconds: u32,
        values: Vec<Box<str>>,
    },
    /// What another name answers at the time, with that name's health.
    Alias {
        zone: Box<str>,
        target: Name,
        evaluate_health: bool,
    },
}

impl Record {
    /// A lone record of values.
    pub fn values(key: SetKey, ttl_seconds: u32, values: impl IntoIterator<Item = Box<str>>) -> Self {
        let answer = Answer::Values { ttl_seconds, values: values.into_iter().collect() };
        Self { key, routing: Routing::Simple, answer, health_check: None }
    }

    /// Whether both are the same record to the service: it has one of them at a time.
    pub fn is_at(&self, other: &Self) -> bool {
        self.key == other.key && self.routing.id() == other.routing.id()
    }

    /// The name that it is an alias of.
    pub fn target(&self) -> Option<&Name> {
        if let Answer::Alias { target, .. } = &self.answer { Some(target) } else { None }
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        match &self.routing {
            Routing::Simple => {}
            Routing::Latency { region, .. } => write!(f, " nearest {region}")?,
            Routing::Weighted { id, weight } => write!(f, " [{id}] weight {weight}")?,
            Routing::Other { id } => write!(f, " [{id}]")?,
        }
        match &self.answer {
            Answer::Values { ttl_seconds, values } => write!(f, " -> {} (ttl {ttl_seconds} s)", values.join(" "))?,
            Answer::Alias { target, evaluate_health: true, .. } => write!(f, " -> {target} while healthy")?,
            Answer::Alias { target, .. } => write!(f, " -> {target}")?,
        }
        match &self.health_check {
            Some(check) => write!(f, ", health check {check}"),
            None => Ok(()),
        }
    }
}

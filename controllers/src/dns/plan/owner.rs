//! Whose a name is: a TXT record beside it says so.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use karman_contract::read::quoted;

use crate::dns::record::{Answer, Name, Record, RecordType, Routing, SetKey};

const PREFIX: &str = "_karman.";
/// Instead of `*` within the name of a mark, where it would be no wildcard.
const WILDCARD: &str = "_wildcard";
const HERITAGE: &str = "heritage=karman,owner=";
/// Nobody but us reads marks.
const TTL_SECONDS: u32 = 300;

/// Who manages records of a zone: 1 to 63 of a-z, 0-9 and `-`. Two that share a zone need two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(Box<str>);

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=63).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.into()));
        }
        Err(format!("found {}, wanted 1 to 63 of a-z, 0-9 and '-'", quoted(text)))
    }
}

impl Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Owner {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The record that says that `key` is this owner's.
    pub fn mark(&self, key: &SetKey) -> Record {
        let at = SetKey { name: mark_name(key), kind: RecordType::Txt };
        Record::values(at, TTL_SECONDS, [format!("\"{HERITAGE}{self}\"").into()])
    }
}

/// A record where a mark stands.
#[derive(Clone, Debug)]
pub(super) struct Mark<'a> {
    /// `None` where it says nothing that we wrote.
    pub(super) owner: Option<Owner>,
    pub(super) record: &'a Record,
}

/// Tells the marks of a zone from its other records.
pub(super) fn marks(records: &[Record]) -> (BTreeMap<SetKey, Mark<'_>>, Vec<&Record>) {
    let mut marks = BTreeMap::new();
    let mut others = Vec::new();
    for record in records {
        match marked(&record.key) {
            Some(key) => {
                marks.insert(key, Mark { owner: owner_of(record), record });
            }
            None => others.push(record),
        }
    }
    (marks, others)
}

fn mark_name(key: &SetKey) -> Name {
    let name = key.name.as_str();
    let (wildcard, rest) = name.strip_prefix('*').map_or(("", name), |rest| (WILDCARD, rest));
    Name::of_service(&format!("{PREFIX}{}.{wildcard}{rest}", key.kind.as_str()))
}

/// What a mark under this key is about.
fn marked(key: &SetKey) -> Option<SetKey> {
    if key.kind != RecordType::Txt {
        return None;
    }
    let (kind, name) = key.name.as_str().strip_prefix(PREFIX)?.split_once('.')?;
    let name = match name.strip_prefix(WILDCARD) {
        Some(rest) => format!("*{rest}"),
        None => name.to_owned(),
    };
    kind.parse().ok().map(|kind| SetKey { name: Name::of_service(&name), kind })
}

fn owner_of(record: &Record) -> Option<Owner> {
    let Answer::Values { values, .. } = &record.answer else { return None };
    match (values.as_slice(), &record.routing) {
        ([value], Routing::Simple) => value.strip_prefix('"')?.strip_suffix('"')?.strip_prefix(HERITAGE)?.parse().ok(),
        _ => None,
    }
}

//! Reading a tree of values into types, with every mistake named in one pass.
//!
//! Serde stops at the first mistake; an operator wants all of them. So text (JSON or YAML) becomes
//! a [`Node`] tree first, and each type reads itself from a node through [`At`], which knows the
//! path walked so far and where in the file the node stands.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod apart;
#[cfg(test)]
mod tests;
mod tree;

pub use apart::{Apart, read_apart};
pub(crate) use tree::ValueVisitor;

/// One value of a document, with its place in the file where it came from one.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    pub place: Option<Place>,
}

/// The value of a [`Node`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    String(String),
    List(Vec<Node>),
    /// In the order of the file; a key that stands twice stands here twice.
    Map(Vec<(Key, Node)>),
}

/// The key of an entry in a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub name: String,
    pub place: Option<Place>,
}

/// A place in a text; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

/// Why a document was not accepted: which part of it, and what was found and wanted there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A path such as `apps.todos.hosts[1]`; empty for the document itself.
    pub at: String,
    pub why: String,
    #[serde(skip)]
    pub place: Option<Place>,
}

impl Reason {
    pub fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at: at.into(), why: why.into(), place: None }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.at, self.why) }
    }
}

/// A type that a [`Node`] can be read into.
pub trait Read: Sized {
    /// The value, or `None` after at least one reason was added to `reasons`.
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self>;

    /// Reads JSON text. What may have very many items overrides it with [`read_apart`].
    fn read_json(text: &[u8]) -> Result<Self, Unreadable> {
        read(&parse_json(text)?).map_err(Unreadable::Refused)
    }
}

/// Reads a whole document, or says everything that is wrong with it.
pub fn read<T: Read>(node: &Node) -> Result<T, Vec<Reason>> {
    let mut reasons = Vec::new();
    match T::read(&At::root(node), &mut reasons) {
        Some(value) if reasons.is_empty() => Ok(value),
        _ => Err(reasons),
    }
}

/// JSON text that is not JSON: where, and what the parser said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub line: usize,
    pub column: usize,
    pub why: String,
}

/// Why JSON text gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    Malformed(Malformed),
    /// It is JSON, and says what cannot be; every reason.
    Refused(Vec<Reason>),
}

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Unreadable> for Vec<Reason> {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Malformed(e) => vec![Reason::new("", format!("line {} column {}: {}", e.line, e.column, e.why))],
            Unreadable::Refused(reasons) => reasons,
        }
    }
}

/// Parses JSON text into a tree. The nodes carry no places: a path is enough in generated text.
pub fn parse_json(text: &[u8]) -> Result<Node, Malformed> {
    Ok(serde_json::from_slice::<Node>(text)?)
}

impl From<serde_json::Error> for Malformed {
    fn from(e: serde_json::Error) -> Self {
        Self { line: e.line(), column: e.column(), why: e.to_string() }
    }
}

/// A node, and the path from the document's root to it.
pub struct At<'a> {
    node: &'a Node,
    step: Step<'a>,
    parent: Option<&'a Self>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    pub fn root(node: &'a Node) -> Self {
        Self { node, step: Step::Root, parent: None }
    }

    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// Adds a reason at this node.
    pub fn refuse(&self, reasons: &mut Vec<Reason>, why: impl Into<String>) {
        reasons.push(Reason { at: self.path(), why: why.into(), place: self.node.place });
    }

    /// Adds the reason that something of another kind was wanted here.
    pub fn wanted(&self, reasons: &mut Vec<Reason>, wanted: &str) {
        self.refuse(reasons, format!("found {}, wanted {wanted}", self.node.value.describe()));
    }

    pub fn string(&self, reasons: &mut Vec<Reason>, wanted: &str) -> Option<&'a str> {
        if let Value::String(text) = &self.node.value {
            return Some(text);
        }
        self.wanted(reasons, wanted);
        None
    }

    /// Reads a string through the type's own parser, whose error becomes the reason.
    pub fn parse<T>(&self, reasons: &mut Vec<Reason>, wanted: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.string(reasons, wanted)?;
        text.parse().map_err(|e: T::Err| self.refuse(reasons, e.to_string())).ok()
    }

    /// A whole number from `min` to `max`, both allowed.
    pub fn integer(&self, reasons: &mut Vec<Reason>, min: i128, max: i128) -> Option<i128> {
        match self.node.value {
            Value::Integer(found) if (min..=max).contains(&found) => return Some(found),
            Value::Integer(found) => self.refuse(reasons, format!("found {found}, wanted a number from {min} to {max}")),
            _ => self.wanted(reasons, &format!("a number from {min} to {max}")),
        }
        None
    }

    /// One word of a closed list.
    pub fn word<T: Copy>(&self, reasons: &mut Vec<Reason>, words: &[(&str, T)]) -> Option<T> {
        let list = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let Value::String(found) = &self.node.value else {
            self.wanted(reasons, &format!("one of {}", list()));
            return None;
        };
        let word = words.iter().find(|(word, _)| word == found);
        if word.is_none() {
            self.refuse(reasons, format!("found {}, wanted one of {}", quoted(found), list()));
        }
        word.map(|(_, value)| *value)
    }

    pub fn list<T: Read>(&self, reasons: &mut Vec<Reason>) -> Option<Vec<T>> {
        let Value::List(items) = &self.node.value else {
            self.wanted(reasons, "a list");
            return None;
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            let at = At { node, step: Step::Index(index), parent: Some(self) };
            values.extend(T::read(&at, reasons));
        }
        (values.len() == items.len()).then_some(values)
    }

    /// A map whose keys are data, not field names.
    pub fn map<K, T>(&self, reasons: &mut Vec<Reason>) -> Option<BTreeMap<K, T>>
    where
        K: FromStr + Ord,
        K::Err: Display,
        T: Read,
    {
        self.map_with(reasons, |_, at, reasons| T::read(at, reasons))
    }

    /// A map whose values need their key to be read.
    pub fn map_with<K, T>(
        &self,
        reasons: &mut Vec<Reason>,
        read: impl Fn(&K, &At<'_>, &mut Vec<Reason>) -> Option<T>,
    ) -> Option<BTreeMap<K, T>>
    where
        K: FromStr + Ord,
        K::Err: Display,
    {
        let Value::Map(entries) = &self.node.value else {
            self.wanted(reasons, "a map");
            return None;
        };
        let mut map = MapOf::default();
        for (key, node) in entries {
            map.add(self, key, node, &read, reasons);
        }
        map.finish()
    }

    /// Opens a map whose keys are field names. Call [`Fields::finish`] when all were asked for.
    pub fn fields<'s>(&'s self, reasons: &mut Vec<Reason>) -> Option<Fields<'s>> {
        let Value::Map(entries) = &self.node.value else {
            self.wanted(reasons, "a map of fields");
            return None;
        };
        Some(Fields { at: self, entries, known: Vec::new() })
    }

    fn refuse_key(&self, reasons: &mut Vec<Reason>, key: &Key, why: String) {
        reasons.push(Reason { at: self.path(), why, place: key.place.or(self.node.place) });
    }

    fn path(&self) -> String {
        let mut steps = Vec::new();
        let mut here = Some(self);
        while let Some(at) = here {
            steps.push(at.step);
            here = at.parent;
        }
        let mut path = String::new();
        for step in steps.iter().rev() {
            match step {
                Step::Root => {}
                Step::Field(name) if path.is_empty() => path.push_str(&shown(name)),
                Step::Field(name) => {
                    path.push('.');
                    path.push_str(&shown(name));
                }
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

/// A map whose keys are data, while it is read entry by entry.
struct MapOf<K, T> {
    values: BTreeMap<K, T>,
    /// Set when an entry could not be read.
    incomplete: bool,
}

impl<K, T> Default for MapOf<K, T> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), incomplete: false }
    }
}

impl<K, T> MapOf<K, T>
where
    K: FromStr + Ord,
    K::Err: Display,
{
    fn add(
        &mut self,
        map: &At<'_>,
        key: &Key,
        node: &Node,
        read: impl Fn(&K, &At<'_>, &mut Vec<Reason>) -> Option<T>,
        reasons: &mut Vec<Reason>,
    ) {
        let at = At { node, step: Step::Field(&key.name), parent: Some(map) };
        let known = reasons.len();
        match key.name.parse::<K>() {
            Err(e) => at.refuse_key(reasons, key, e.to_string()),
            Ok(name) => {
                let value = read(&name, &at, reasons);
                if value.is_some_and(|value| self.values.insert(name, value).is_some()) {
                    at.refuse_key(reasons, key, "stands here twice".to_owned());
                }
            }
        }
        self.incomplete |= reasons.len() > known;
    }

    fn finish(self) -> Option<BTreeMap<K, T>> {
        (!self.incomplete).then_some(self.values)
    }
}

/// The fields of a struct, taken by name; what nobody asked for is refused at the end.
pub struct Fields<'a> {
    at: &'a At<'a>,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub fn required<T: Read>(&mut self, reasons: &mut Vec<Reason>, name: &'static str) -> Option<T> {
        let Some(at) = self.field(name) else {
            self.at.refuse(reasons, format!("the field '{name}' is required"));
            return None;
        };
        T::read(&at, reasons)
    }

    /// The field's value, or `default` where it is absent.
    pub fn or<T: Read>(&mut self, reasons: &mut Vec<Reason>, name: &'static str, default: T) -> Option<T> {
        match self.field(name) {
            Some(at) => T::read(&at, reasons),
            None => Some(default),
        }
    }

    pub fn optional<T: Read>(&mut self, reasons: &mut Vec<Reason>, name: &'static str) -> Option<Option<T>> {
        match self.field(name) {
            Some(at) => T::read(&at, reasons).map(Some),
            None => Some(None),
        }
    }

    /// A whole number with its limits, or `default` where it is absent.
    pub fn integer<N>(&mut self, reasons: &mut Vec<Reason>, name: &'static str, default: N, min: N, max: N) -> Option<N>
    where
        N: Into<i128> + TryFrom<i128>,
    {
        match self.field(name) {
            Some(at) => at.integer(reasons, min.into(), max.into()).and_then(|found| N::try_from(found).ok()),
            None => Some(default),
        }
    }

    /// Refuses every field that was not asked for and every field that stands twice.
    pub fn finish(self, reasons: &mut Vec<Reason>) {
        let mut seen = HashSet::new();
        for (key, node) in self.entries {
            let at = At { node, step: Step::Field(&key.name), parent: Some(self.at) };
            if !self.known.contains(&key.name.as_str()) {
                at.refuse_key(reasons, key, format!("there is no such field; known here: {}", self.known.join(", ")));
            } else if !seen.insert(&key.name) {
                at.refuse_key(reasons, key, "stands here twice".to_owned());
            }
        }
    }

    /// The path and node of one field, for a type that needs more than [`Read`] gives.
    pub fn field(&mut self, name: &'static str) -> Option<At<'a>> {
        self.known.push(name);
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        Some(At { node, step: Step::Field(name), parent: Some(self.at) })
    }
}

impl Value {
    fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::String(text) => quoted(text),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}

/// A found text as a message shows it: quoted, escaped, and cut to a length that a line can hold.
pub fn quoted(text: &str) -> String {
    format!("'{}'", shown(text))
}

fn shown(text: &str) -> String {
    const SHOWN_CHARACTERS: usize = 80;
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push_str("...");
    }
    shown
}

impl Read for bool {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        if let Value::Bool(value) = at.node.value {
            return Some(value);
        }
        at.wanted(reasons, "true or false");
        None
    }
}

impl Read for String {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.string(reasons, "a text").map(ToOwned::to_owned)
    }
}

impl Read for u64 {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.integer(reasons, 0, Self::MAX.into()).and_then(|found| Self::try_from(found).ok())
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        at.list(reasons)
    }
}

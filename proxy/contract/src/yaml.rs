//! YAML text into a [`Node`] tree with places, and mistakes shown with file, line and caret.
//!
//! This is the only file that names the YAML crate. Ours only reads; nothing here writes YAML.

use std::fmt::{self, Display};

use serde::de::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use crate::read::{Key, Node, Place, Read, Reason, Value, ValueVisitor, read};

/// More nodes than this in one file is taken for a bomb, not for a configuration.
pub const NODES_MAX: usize = 100_000;

/// Everything that is wrong with one file.
#[derive(Clone, Debug)]
pub struct FileMistakes {
    pub file: String,
    pub reasons: Vec<Reason>,
    text: String,
}

impl FileMistakes {
    /// For mistakes that show only when a file is put together with others.
    pub fn new(file: impl Into<String>, text: impl Into<String>, reasons: Vec<Reason>) -> Self {
        Self { file: file.into(), reasons, text: text.into() }
    }
}

/// Reads a file's text into `T`, or says everything that is wrong with it.
///
/// `file` is only used in messages. An empty text is an empty map.
pub fn read_yaml<T: Read>(file: &str, text: &str) -> Result<T, FileMistakes> {
    let mistakes = |reasons| FileMistakes { file: file.to_owned(), reasons, text: text.to_owned() };
    let node = parse_yaml(text).map_err(|reason| mistakes(vec![reason]))?;
    read(&node).map_err(mistakes)
}

/// Parses YAML text into a tree; the reason says where it is not YAML.
pub fn parse_yaml(text: &str) -> Result<Node, Reason> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: NODES_MAX, max_events: NODES_MAX * 2 },
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Located>(text, options) {
        Ok(Located(Node { value: Value::Null, .. })) => {
            Ok(Node { value: Value::Map(Vec::new()), place: Some(Place { line: 1, column: 1 }) })
        }
        Ok(Located(node)) => Ok(node),
        Err(e) => {
            let place = e.location().and_then(place);
            Err(Reason { at: String::new(), why: format!("this is not YAML: {}", first_line(&e.to_string())), place })
        }
    }
}

impl Display for FileMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|reason| reason.place);
        for (index, reason) in reasons.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let Some(Place { line, column }) = reason.place else {
                write!(f, "{}: {reason}", self.file)?;
                continue;
            };
            write!(f, "{}:{line}:{column}: {reason}", self.file)?;
            let source = self.text.lines().nth(usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1));
            if let Some(source) = source {
                // Tabs are kept, so that the caret stands under its column in any terminal.
                let before = usize::try_from(column).unwrap_or(1).saturating_sub(1);
                let indent: String = source.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
                write!(f, "\n{line:>5} | {source}\n      | {indent}^")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for FileMistakes {}

struct Located(Node);

struct LocatedKey(Key);

struct LocatedValue(Value);

impl From<Located> for Node {
    fn from(located: Located) -> Self {
        located.0
    }
}

impl From<LocatedKey> for Key {
    fn from(located: LocatedKey) -> Self {
        located.0
    }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<LocatedValue>::deserialize(deserializer)?;
        Ok(Self(Node { value: spanned.value.0, place: place(spanned.referenced) }))
    }
}

impl<'de> Deserialize<'de> for LocatedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor::<Located, LocatedKey>::new()).map(Self)
    }
}

impl<'de> Deserialize<'de> for LocatedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self(Key { name: spanned.value, place: place(spanned.referenced) }))
    }
}

fn place(location: Location) -> Option<Place> {
    (location != Location::UNKNOWN).then(|| Place { line: location.line(), column: location.column() })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

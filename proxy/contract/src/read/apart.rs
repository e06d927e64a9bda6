//! Reads the one large map of a document entry by entry: 100,000 items never stand in memory as a tree.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::{At, Key, Malformed, MapOf, Node, Reason, Step, Value, ValueVisitor, parse_json};

/// A document whose large map was read apart from the rest.
pub struct Apart<K, T> {
    /// The document. Where the large map stood, an empty one stands.
    pub rest: Node,
    /// Whether there was such a map, and what it held: `None` within after at least one reason.
    pub items: Option<Option<BTreeMap<K, T>>>,
}

/// Reads JSON text, and the map in its field `large` as [`At::map_with`] would, one entry at a time.
pub fn read_apart<K, T>(
    text: &[u8],
    large: &str,
    read: impl Fn(&K, &At<'_>, &mut Vec<Reason>) -> Option<T>,
    reasons: &mut Vec<Reason>,
) -> Result<Apart<K, T>, Malformed>
where
    K: FromStr + Ord,
    K::Err: Display,
{
    if !text.trim_ascii_start().starts_with(b"{") {
        return Ok(Apart { rest: parse_json(text)?, items: None });
    }
    let mut map = MapOf::default();
    let mut has_map = false;
    let fields = Fields {
        large: Some(large),
        has_map: &mut has_map,
        entry: |key: &Key, node: &Node| {
            // Only the steps of what stands above an entry are ever looked at, for its path.
            let above = Node { value: Value::Null, place: None };
            let root = At::root(&above);
            let at = At { node: &above, step: Step::Field(large), parent: Some(&root) };
            map.add(&at, key, node, &read, reasons);
        },
    };
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = json.deserialize_map(fields)?;
    json.end()?;
    Ok(Apart { rest: Node { value, place: None }, items: has_map.then(|| map.finish()) })
}

/// The fields of the document.
struct Fields<'a, F> {
    /// The field that is read apart, until it was met: one that stands twice is kept, to be refused.
    large: Option<&'a str>,
    has_map: &'a mut bool,
    entry: F,
}

impl<'de, F: FnMut(&Key, &Node)> Visitor<'de> for Fields<'_, F> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let node = if self.large.take_if(|large| *large == name).is_some() {
                let node = map.next_value_seed(Entries(&mut self.entry))?;
                *self.has_map = matches!(node.value, Value::Map(_));
                node
            } else {
                map.next_value()?
            };
            fields.push((Key::from(name), node));
        }
        Ok(Value::Map(fields))
    }
}

/// A value that, if it is a map, is given away entry by entry.
struct Entries<F>(F);

impl<'de, F: FnMut(&Key, &Node)> DeserializeSeed<'de> for Entries<F> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Node, D::Error> {
        let visitor = ValueVisitor::<Node, String, _>::keeping(|(key, node)| {
            (self.0)(&key, &node);
            None
        });
        Ok(Node { value: deserializer.deserialize_any(visitor)?, place: None })
    }
}

//! Any self-describing format into a [`Node`] tree.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Key, Node, Value};

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(ValueVisitor::<Self, String>::new())?;
        Ok(Self { value, place: None })
    }
}

impl Node {
    /// Gives back the room that was left for more, for a tree that is kept.
    pub fn shrink_to_fit(&mut self) {
        match &mut self.value {
            Value::List(items) => {
                items.shrink_to_fit();
                items.iter_mut().for_each(Self::shrink_to_fit);
            }
            Value::Map(entries) => {
                entries.shrink_to_fit();
                entries.iter_mut().for_each(|(_, node)| node.shrink_to_fit());
            }
            _ => {}
        }
    }
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        Self { name, place: None }
    }
}

/// An entry of a map, on its way into the tree.
type Entry = (Key, Node);

/// Builds a [`Value`] from any self-describing format; `N` and `K` say how that format's children
/// and keys carry their places.
pub(crate) struct ValueVisitor<N, K, F = fn(Entry) -> Option<Entry>> {
    /// What becomes part of the value, if it is a map.
    keep: F,
    carries: PhantomData<(N, K)>,
}

impl<N, K> ValueVisitor<N, K> {
    pub(crate) fn new() -> Self {
        Self { keep: Some, carries: PhantomData }
    }
}

impl<N, K, F: FnMut(Entry) -> Option<Entry>> ValueVisitor<N, K, F> {
    /// A map's entries go through `keep` as soon as each is read.
    pub(super) fn keeping(keep: F) -> Self {
        Self { keep, carries: PhantomData }
    }
}

impl<'de, N, K, F> Visitor<'de> for ValueVisitor<N, K, F>
where
    N: Deserialize<'de> + Into<Node>,
    K: Deserialize<'de> + Into<Key>,
    F: FnMut(Entry) -> Option<Entry>,
{
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<N>()? {
            items.push(item.into());
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<K, N>()? {
            entries.extend((self.keep)((key.into(), value.into())));
        }
        Ok(Value::Map(entries))
    }
}

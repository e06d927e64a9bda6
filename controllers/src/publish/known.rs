//! What a proxy knows of the contract, and the documents without the rest. Pure.
//!
//! A proxy refuses what it does not know. So it gets each document without that, and is compared with that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_contract::document::{Beside as _, Delta, Item, KeysDocument, Stamp, hash_items, hash_text, write_items};
use karman_contract::fields;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::wanted::Content;

#[cfg(test)]
mod tests;

/// So many items are hashed in one go: they take a tenth of a millisecond.
const ITEMS_AT_ONCE: usize = 32;

/// The fields that a proxy knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// None: all that this release knows.
    fields: Option<Arc<Branch>>,
}

/// The fields below a field, by their names; `*` stands for any. A field without fields is taken as it is.
#[derive(Debug, Default, PartialEq)]
struct Branch(BTreeMap<String, Self>);

impl Known {
    /// By what the proxy says in its status.
    pub fn new(said: &[String]) -> Self {
        let said: BTreeSet<&str> = if said.is_empty() {
            // It is of before proxies said it.
            fields::FIRST.iter().copied().collect()
        } else {
            said.iter().map(String::as_str).collect()
        };
        if fields::all().all(|field| said.contains(field)) {
            return Self::default();
        }
        let mut all = Branch::default();
        said.iter().for_each(|path| all.add(path));
        Self { fields: Some(Arc::new(all)) }
    }

    /// The whole document.
    pub fn whole<I: Item>(&self, stamp: Stamp, content: &Content<I>, force: bool) -> Vec<u8> {
        let mut text = Vec::new();
        write_items::<I>(&mut text, stamp, self.beside::<I>(&content.beside), self.forms(content));
        if force && text.pop() == Some(b'}') {
            text.extend_from_slice(br#","force":true}"#);
        }
        text
    }

    /// The hash that the proxy finds of the whole document.
    pub fn hash<I: Item>(&self, stamp: Stamp, content: &Content<I>) -> String {
        hash_items::<I>(stamp, self.beside::<I>(&content.beside), self.forms(content))
    }

    /// The same, which takes long where they are 100,000 apps. `goes_on` is asked now and then; no hash without it.
    pub fn hash_while<I: Item>(&self, stamp: Stamp, content: &Content<I>, mut goes_on: impl FnMut() -> bool) -> Option<String> {
        let mut is_whole = true;
        let forms = (1..).zip(self.forms(content)).map_while(|(number, form): (usize, _)| {
            is_whole = !number.is_multiple_of(ITEMS_AT_ONCE) || goes_on();
            is_whole.then_some(form)
        });
        let hash = hash_items::<I>(stamp, self.beside::<I>(&content.beside), forms);
        is_whole.then_some(hash)
    }

    /// A change of the document.
    pub fn delta<I: Item>(&self, delta: &Delta<I>) -> Vec<u8> {
        let mut value = value(delta);
        if let (Some(all), Value::Object(fields)) = (&self.fields, &mut value) {
            if let (Some(items), Some(Value::Object(put))) = (all.item::<I>(), fields.get_mut("put")) {
                put.values_mut().for_each(|item| drop(items.keep(item, "")));
            }
            for (name, _) in I::Beside::change_to_fields(&delta.beside) {
                all.keep_field(fields, name, "");
            }
        }
        value.to_string().into_bytes()
    }

    /// The keys document, in its canonical form.
    pub fn keys(&self, document: &KeysDocument) -> String {
        let mut value = value(document);
        if let (Some(all), Value::Object(fields)) = (&self.fields, &mut value) {
            let names: Vec<_> = fields.keys().filter(|name| !["epoch", "generation"].contains(&name.as_str())).cloned().collect();
            names.iter().for_each(|name| drop(all.keep_field(fields, name, "")));
        }
        value.to_string()
    }

    /// The hash that the proxy finds of the keys document.
    pub fn hash_of_keys(&self, document: &KeysDocument) -> String {
        hash_text(&self.keys(document))
    }

    /// The paths of the fields that are left out of an item.
    pub fn missing<I: Item>(&self, item: &I) -> BTreeSet<String> {
        let items = self.fields.as_ref().and_then(|all| all.item::<I>());
        let path = format!("{}.*", I::DOCUMENT);
        items.map(|known| known.keep(&mut value(item), &path)).unwrap_or_default()
    }

    pub fn is_all(&self) -> bool {
        self.fields.is_none()
    }

    fn forms<'a, I: Item>(&'a self, content: &'a Content<I>) -> impl Iterator<Item = (&'a I::Key, Form<'a, I>)> {
        let items = self.fields.as_ref().and_then(|all| all.item::<I>());
        content.items.iter().map(move |(key, item)| (key, Form { item: item.as_ref(), known: items }))
    }

    fn beside<I: Item>(&self, beside: &I::Beside) -> Vec<(&'static str, Value)> {
        let mut fields = beside.to_fields();
        if let Some(all) = &self.fields {
            fields.retain_mut(|(name, value)| all.0.get(*name).map(|known| known.keep(value, "")).is_some());
        }
        fields
    }
}

/// An item as the proxy gets it.
struct Form<'a, I> {
    item: &'a I,
    known: Option<&'a Branch>,
}

impl<I: Item> Serialize for Form<'_, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(known) = self.known else { return self.item.serialize(serializer) };
        let mut value = value(self.item);
        known.keep(&mut value, "");
        value.serialize(serializer)
    }
}

/// What is serialized here has names for keys, and cannot fail.
fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

impl Branch {
    fn add(&mut self, path: &str) {
        let mut here = self;
        for step in path.split('.') {
            here = here.0.entry(step.to_owned()).or_default();
        }
    }

    /// What is known of the items of a document. None: the proxy takes them as they are.
    fn item<I: Item>(&self) -> Option<&Self> {
        self.0.get(I::DOCUMENT.as_str())?.0.get("*")
    }

    /// Takes away what is not known, and gives the paths of that.
    fn keep(&self, value: &mut Value, path: &str) -> BTreeSet<String> {
        if let Some(any) = self.0.get("*") {
            let path = format!("{path}.*");
            match value {
                Value::Array(items) => items.iter_mut().flat_map(|item| any.keep(item, &path)).collect(),
                Value::Object(items) => items.values_mut().flat_map(|item| any.keep(item, &path)).collect(),
                _ => BTreeSet::new(),
            }
        } else if let Value::Object(fields) = value
            && !self.0.is_empty()
        {
            let names: Vec<_> = fields.keys().cloned().collect();
            names.iter().flat_map(|name| self.keep_field(fields, name, path)).collect()
        } else {
            BTreeSet::new()
        }
    }

    fn keep_field(&self, fields: &mut Map<String, Value>, name: &str, path: &str) -> BTreeSet<String> {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match (self.0.get(name), fields.get_mut(name)) {
            (Some(known), Some(value)) => known.keep(value, &path),
            (None, Some(_)) => {
                fields.remove(name);
                BTreeSet::from([path])
            }
            (_, None) => BTreeSet::new(),
        }
    }
}

//! `karman app ID --effective`: every value that the store gives an app, and where it comes from.

use std::sync::Arc;

use jiff::Timestamp;
use karman_contract::name::AppId;
use karman_contract::read::{Key as Field, Node, Place, Value as NodeValue};
use karman_contract::yaml::parse_yaml;
use serde::Serialize;
use serde_json::Value;

use super::table::table;
use super::{Asked, print, print_json};
use crate::catalog::Catalog;
use crate::failure::Failure;
use crate::layer::{entries, field};
use crate::row;
use crate::store::{Entry, Found, Key, Kind, Remembered, Store};

#[derive(Debug, PartialEq, Serialize)]
pub struct Setting {
    pub path: String,
    pub value: Value,
    /// The file and line, or `built in`.
    pub from: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a AppId,
    values: Vec<Setting>,
    mistakes: Vec<String>,
}

/// Reads the store itself: this works without a proxy and without a publisher.
pub async fn run(id: &AppId, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let catalog = read(store.as_ref(), id).await?;
    let mistakes: Vec<_> = catalog.mistakes().values().map(ToString::to_string).collect();
    let Some(values) = effective(&catalog, id) else {
        let store = &asked.place;
        let mut message = format!("there is no app '{id}' in {store} that can be used");
        mistakes.iter().for_each(|mistake| message.push_str(&format!("\n{mistake}")));
        return Err(Failure::data(message));
    };
    if asked.json {
        return print_json(&Answer { id, values, mistakes });
    }
    let rows: Vec<_> = values.iter().map(|Setting { path, value, from }| row![path, shown(value), from]).collect();
    print(&table(&rows))?;
    mistakes.iter().try_for_each(|mistake| print(&format!("\nthe last good version goes on:\n{mistake}\n")))
}

/// What the store says of one app, with the last good versions that a publisher remembers.
async fn read(store: &dyn Store, id: &AppId) -> Result<Catalog, Failure> {
    let mut keys = vec![Key::single(Kind::Defaults)];
    keys.extend([Kind::App, Kind::State, Kind::Instances, Kind::Draining].map(|kind| Key::of(kind, id)));
    let mut looked = Vec::new();
    for (key, seen) in store.read(&[Kind::Plan, Kind::Page, Kind::Deny]).await?.entries {
        looked.push((key.clone(), Found::read(&key, seen)));
    }
    for key in keys {
        let found = Found::read(&key, store.look(&key).await?);
        looked.push((key, found));
    }
    let remembered = store.remembered().into_iter().filter(|(key, _)| looked.iter().any(|(other, _)| other == key));
    // What another release remembered and this one cannot read is no loss.
    let good = remembered.filter_map(|(key, Remembered { file, text })| {
        let entry = Entry::read(&key, &file, text).ok()?;
        Some((key, Arc::new(entry)))
    });
    let mut catalog = Catalog::remembering(good);
    catalog.update(looked, Timestamp::now());
    Ok(catalog)
}

pub fn effective(catalog: &Catalog, id: &AppId) -> Option<Vec<Setting>> {
    let app = catalog.apps().get(id)?;
    let layers = layers(catalog, id);
    let mut values = Vec::new();
    flatten(&serde_json::to_value(app.as_ref()).ok()?, &mut Vec::new(), &mut |path, value| {
        let from = layers.iter().find_map(|(file, node)| Some((file, find(node, path)?)));
        let from = match from {
            Some((file, Some(place))) => format!("{file}:{}", place.line),
            Some((file, None)) => file.clone(),
            None => "built in".to_owned(),
        };
        values.push(Setting { path: path.join("."), value: value.clone(), from });
    });
    Some(values)
}

/// The entries that speak of the app as layers of one, the highest first.
fn layers(catalog: &Catalog, id: &AppId) -> Vec<(String, Node)> {
    let entry = |key: Key| catalog.entry(&key).cloned();
    let own = entry(Key::of(Kind::App, id));
    let plan = own.as_ref().and_then(|own| entry(Key::new(Kind::Plan, &own.plan()?.name)));
    let below = [own, plan, entry(Key::single(Kind::Defaults))].into_iter().flatten();
    let state = entry(Key::of(Kind::State, id)).and_then(|entry| Some((entry.file.clone(), state_layer(&entry)?)));
    let draining = entry(Key::of(Kind::Draining, id)).and_then(|entry| Some((entry.file.clone(), draining_layer(&entry)?)));
    let instances = entry(Key::of(Kind::Instances, id)).and_then(|entry| {
        let node = parse_yaml(&entry.text).ok()?;
        Some((entry.file.clone(), map(vec![("instances", Some(node))])))
    });
    let below = below.filter_map(|entry: Arc<Entry>| Some((entry.file.clone(), entry.layer()?.clone())));
    state.into_iter().chain(draining).chain(instances).chain(below).collect()
}

fn state_layer(entry: &Entry) -> Option<Node> {
    let node = parse_yaml(&entry.text).ok()?;
    let of = |name| field(&node, name).cloned();
    Some(map(vec![("state", of("state")), ("note", Some(map(vec![("by", of("by")), ("why", of("why"))])))]))
}

/// Each instance that the entry names has its state from there.
fn draining_layer(entry: &Entry) -> Option<Node> {
    let node = parse_yaml(&entry.text).ok()?;
    let state_of = |(name, word): &(Field, Node)| (name.clone(), map(vec![("state", Some(word.clone()))]));
    let instances = Node { value: NodeValue::Map(entries(&node).iter().map(state_of).collect()), place: node.place };
    Some(map(vec![("instances", Some(instances))]))
}

fn map(fields: Vec<(&str, Option<Node>)>) -> Node {
    let fields = fields.into_iter().filter_map(|(name, node)| {
        let node = node?;
        Some((Field { name: name.to_owned(), place: node.place }, node))
    });
    Node { value: NodeValue::Map(fields.collect()), place: None }
}

/// Where a layer sets this value; `None` if it does not.
fn find(node: &Node, path: &[String]) -> Option<Option<Place>> {
    let Some((first, rest)) = path.split_first() else { return Some(node.place) };
    let (name, node) = entries(node).iter().find(|(name, _)| name.name == *first)?;
    match rest {
        [] => Some(name.place),
        rest => find(node, rest),
    }
}

/// Calls `leaf` with every value that is not a map with something in it.
fn flatten(value: &Value, path: &mut Vec<String>, leaf: &mut impl FnMut(&[String], &Value)) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(name.clone());
                flatten(value, path, leaf);
                path.pop();
            }
        }
        value => leaf(path, value),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        value => value.to_string(),
    }
}

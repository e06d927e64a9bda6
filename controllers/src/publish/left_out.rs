//! What is left out of a document because its proxy does not know the field, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use karman_contract::document::Item;
use karman_contract::fields;
use karman_contract::read::Reason;
use serde::{Deserialize, Serialize};

use super::known::Known;
use super::wanted::Items;
use crate::shared_map::Changed;

/// Of the items of one document.
pub struct LeftOut<I: Item> {
    /// What was looked at. What did not change is not looked at again.
    items: Items<I>,
    missing: BTreeMap<I::Key, BTreeSet<String>>,
    by_field: BTreeMap<String, Without>,
}

/// The items that are served without a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Without {
    pub items: usize,
    /// The first of them.
    pub named: Vec<String>,
}

impl Without {
    /// More than this are counted, not named.
    const NAMED_MAX: usize = 5;
}

impl<I: Item> Default for LeftOut<I> {
    fn default() -> Self {
        Self { items: Items::<I>::default(), missing: BTreeMap::new(), by_field: BTreeMap::new() }
    }
}

impl<I: Item> LeftOut<I> {
    /// Takes in what the proxy is to have.
    pub fn look(&mut self, known: &Known, items: &Items<I>) {
        if known.is_all() {
            return;
        }
        for Changed { key, after, .. } in self.items.changes(items) {
            let fields = after.map(|item| known.missing(item.as_ref())).unwrap_or_default();
            if fields.is_empty() {
                self.missing.remove(key);
            } else {
                self.missing.insert(key.clone(), fields);
            }
        }
        self.by_field = by_field(&self.missing);
        self.items = items.clone();
    }

    /// Why each item that is not what it should be without a field should not be sent without it.
    pub fn mattering(&self) -> Vec<Reason> {
        let fields = self.missing.iter().flat_map(|(key, fields)| fields.iter().map(move |field| (key, field)));
        let reason = |(key, field): (&I::Key, &String)| {
            let why = "this proxy does not know the field, and it is not harmless to go without: upgrade the proxy".to_owned();
            Reason { at: field.replacen('*', &key.to_string(), 1), why, place: None }
        };
        fields.filter(|(_, field)| !fields::is_harmless(field)).map(reason).collect()
    }

    pub fn by_field(&self) -> &BTreeMap<String, Without> {
        &self.by_field
    }
}

fn by_field(missing: &BTreeMap<impl Display, BTreeSet<String>>) -> BTreeMap<String, Without> {
    let mut by_field: BTreeMap<String, Without> = BTreeMap::new();
    for (key, fields) in missing {
        for field in fields {
            let without = by_field.entry(field.clone()).or_default();
            without.items += 1;
            if without.named.len() < Without::NAMED_MAX {
                without.named.push(key.to_string());
            }
        }
    }
    by_field
}

impl Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, named } = self;
        let more = if *items > named.len() { ", ..." } else { "" };
        write!(f, "it serves {items} without it ({}{more})", named.join(", "))
    }
}

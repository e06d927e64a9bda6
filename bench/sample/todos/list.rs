//! The list itself and the changes that make it, as they stand in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Todos in a list: every process holds all of them, and every subscriber is sent all of them.
pub(crate) const LIST_LIMIT: usize = 200;

/// Characters in a todo.
pub(crate) const TEXT_LIMIT: usize = 500;

/// The todos by id. Cloning it copies pointers, not texts.
#[derive(Clone, Default)]
pub(crate) struct List(BTreeMap<String, Arc<Todo>>);

#[derive(Clone, PartialEq)]
pub(crate) struct Todo {
    pub(crate) text: String,
    pub(crate) done: bool,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    Insert { id: String, text: String, at: u64 },
    Mark { id: String, done: bool },
    Remove { id: String },
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Todo>> {
        self.0.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Arc<Todo>)> {
        self.0.iter()
    }

    /// Makes one change; one that cannot be made does nothing. Two processes may have written at once
    /// without knowing of each other, and all of them must still arrive at the same list.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Insert { id, text, at } => {
                if self.0.len() < LIST_LIMIT && text.chars().count() <= TEXT_LIMIT {
                    self.0.entry(id).or_insert_with(|| Arc::new(Todo { text, done: false, at }));
                }
            }
            Change::Mark { id, done } => {
                if let Some(todo) = self.0.get_mut(&id) {
                    Arc::make_mut(todo).done = done;
                }
            }
            Change::Remove { id } => {
                self.0.remove(&id);
            }
        }
    }
}

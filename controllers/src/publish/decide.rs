//! What to send to a proxy, given what it has and what it should have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use karman_contract::document::{Beside as _, Delta, Item, Stamp};

use super::known::Known;
pub use super::wanted::{Content, Items};
use crate::shared_map::Changed;

/// What a proxy has of one document, as far as we know.
#[derive(Default)]
pub enum Has<I: Item> {
    /// It never got one.
    #[default]
    Nothing,
    /// It has one that we did not send and have not read.
    Unknown(Stamp),
    This(Held<I>),
    /// It has this, and beside it what nobody could send again: its document goes on by deltas, and in its epoch.
    More(Held<I>),
}

/// A document that a proxy is known to have.
pub struct Held<I: Item> {
    pub stamp: Stamp,
    pub content: Content<I>,
    /// The hash that the proxy finds of it, once it was needed. What the proxy knows of the contract does not change meanwhile:
    /// another one is asked anew what it has.
    pub hash: Arc<OnceLock<String>>,
}

impl<I: Item> Held<I> {
    pub fn new(stamp: Stamp, content: Content<I>) -> Self {
        Self { stamp, content, hash: Arc::default() }
    }
}

impl<I: Item> Clone for Held<I> {
    fn clone(&self) -> Self {
        Self { stamp: self.stamp, content: self.content.clone(), hash: Arc::clone(&self.hash) }
    }
}

pub enum Plan<I: Item> {
    Nothing,
    Delta(Delta<I>),
    Whole,
    /// The proxy has other content under this or a later generation: the store has to go past it first.
    GoPast(u64),
    /// The proxy follows a later epoch, which is another store's.
    Ahead(Stamp),
}

pub fn decide<I: Item>(has: &Has<I>, wanted: &Content<I>, stamp: Stamp) -> Plan<I> {
    let current = match has {
        Has::Nothing => return Plan::Whole,
        Has::This(held) | Has::More(held) if held.content == *wanted => return Plan::Nothing,
        Has::This(held) | Has::More(held) => held.stamp,
        Has::Unknown(stamp) => *stamp,
    };
    let stamp = match has {
        Has::More(_) if current.epoch < stamp.epoch => Stamp { generation: current.generation + 1, ..current },
        _ => stamp,
    };
    if current.epoch > stamp.epoch {
        return Plan::Ahead(current);
    }
    if current.epoch == stamp.epoch && current.generation >= stamp.generation {
        return Plan::GoPast(current.generation);
    }
    match has {
        // A new epoch comes as a whole document only.
        Has::This(held) | Has::More(held) if held.stamp.epoch == stamp.epoch => Plan::Delta(delta(held, wanted, stamp)),
        _ => Plan::Whole,
    }
}

fn delta<I: Item>(held: &Held<I>, wanted: &Content<I>, stamp: Stamp) -> Delta<I> {
    let (mut put, mut remove) = (BTreeMap::new(), BTreeSet::new());
    for Changed { key, after, .. } in held.content.items.changes(&wanted.items) {
        match after {
            Some(item) => drop(put.insert(key.clone(), I::clone(item))),
            None => drop(remove.insert(key.clone())),
        }
    }
    let beside = held.content.beside.change_to(&wanted.beside);
    Delta { stamp, base: held.stamp.generation, put, remove, beside, force: false }
}

impl<I: Item> Has<I> {
    /// What the proxy has, if it is what `wanted` would be under the proxy's own stamp.
    pub fn recognized(stamp: Option<Stamp>, hash: Option<&str>, wanted: &Content<I>, known: &Known) -> Self {
        let Some(stamp) = stamp else { return Self::Nothing };
        match hash.filter(|hash| *hash == known.hash(stamp, wanted)) {
            Some(hash) => Self::This(Held { hash: Arc::new(hash.to_owned().into()), ..Held::new(stamp, wanted.clone()) }),
            None => Self::Unknown(stamp),
        }
    }

    /// Takes note that it has `held` now, and what it had more.
    pub fn sent(&mut self, held: Held<I>) {
        *self = if let Self::More(_) = self { Self::More(held) } else { Self::This(held) };
    }

    /// Takes note whether it has something that nobody could send again.
    pub fn has_more(&mut self, has_more: bool) {
        *self = match (std::mem::take(self), has_more) {
            (Self::Unknown(stamp), true) => Self::More(Held::new(stamp, Content::default())),
            (Self::This(held), true) => Self::More(held),
            (Self::More(held), false) => Self::Unknown(held.stamp),
            (has, _) => has,
        };
    }

    /// What it is known to have.
    pub fn held(&self) -> Option<&Held<I>> {
        if let Self::This(held) | Self::More(held) = self { Some(held) } else { None }
    }

    /// The same, if that is all it has.
    pub fn whole(&self) -> Option<&Held<I>> {
        if let Self::This(held) = self { Some(held) } else { None }
    }

    /// The stamp of what it has, if that is more than is known.
    pub fn stamp_of_more(&self) -> Option<Stamp> {
        if let Self::More(held) = self { Some(held.stamp) } else { None }
    }

    /// The items that it is known to have.
    pub fn items(&self) -> Items<I> {
        self.held().map(|held| held.content.items.clone()).unwrap_or_default()
    }

    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Nothing => None,
            Self::Unknown(stamp) => Some(*stamp),
            Self::This(held) | Self::More(held) => Some(held.stamp),
        }
    }
}

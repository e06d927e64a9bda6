//! What every edge should have, put together once for all of them.

use std::collections::BTreeSet;

use karman_contract::app::App;
use karman_contract::document::{Item, Page, Stamp};
use karman_contract::name::AppId;

use super::report::{Mistake, mistakes_of};
use super::secrets::Published;
use crate::catalog::Catalog;
use crate::shared_map::SharedMap;

/// A document's items; one that did not change is the same value as before.
pub type Items<I> = SharedMap<<I as Item>::Key, I>;

/// A document without its stamp.
#[derive(Clone, PartialEq)]
pub struct Content<I: Item> {
    pub items: Items<I>,
    pub beside: I::Beside,
}

impl<I: Item> Default for Content<I> {
    fn default() -> Self {
        Self { items: Items::<I>::default(), beside: I::Beside::default() }
    }
}

impl<I: Item> From<Items<I>> for Content<I> {
    fn from(items: Items<I>) -> Self {
        Self { items, beside: I::Beside::default() }
    }
}

#[derive(Clone)]
pub struct Wanted {
    pub stamp: Stamp,
    pub apps: Items<App>,
    pub pages: Items<Page>,
    /// Apps that stand in the store and cannot be used, and of which no good version is known: they
    /// stay as each proxy has them.
    pub unknown: BTreeSet<AppId>,
    /// Why nothing may be published, if something that all apps share cannot be used.
    pub problem: Option<String>,
    pub secrets: Published,
    pub mistakes: Vec<Mistake>,
}

impl Wanted {
    pub fn new(catalog: &Catalog, secrets: Published, stamp: Stamp) -> Self {
        let mut mistakes = mistakes_of(catalog);
        mistakes.extend(secrets.mistakes.iter().map(Mistake::of_no_app));
        let shared = catalog.unusable_shared();
        Self {
            stamp,
            apps: catalog.apps().clone(),
            pages: catalog.pages().clone(),
            unknown: catalog.unusable_apps().clone(),
            problem: shared.map(|key| format!("{key} cannot be used, and no good version of it is known: nothing is published")),
            secrets,
            mistakes,
        }
    }
}

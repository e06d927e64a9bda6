//! The page table: owners' own pages, by the hash of their text.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;

use karman_contract::document::{Page, PagesDelta, PagesDocument, Stamp, hash_items, write_items};
use karman_contract::name::ContentHash;
use karman_contract::read::Reason;

use crate::documents::Table;

/// One immutable table of pages.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    stamp: Option<Stamp>,
    pages: BTreeMap<ContentHash, Page>,
    hash: OnceLock<String>,
}

impl Pages {
    pub fn get(&self, hash: &ContentHash) -> Option<&str> {
        self.pages.get(hash).map(|page| page.0.as_str())
    }
}

impl Table for Pages {
    type Item = Page;
    type Change = ();

    fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    fn len(&self) -> usize {
        self.pages.len()
    }

    fn has(&self, key: &ContentHash) -> bool {
        self.pages.contains_key(key)
    }

    fn holds(&self, key: &ContentHash, page: &Page) -> bool {
        self.pages.get(key) == Some(page)
    }

    fn beside(&self) -> &() {
        &()
    }

    fn hash(&self) -> &str {
        self.hash.get_or_init(|| hash_items::<Page>(self.stamp.unwrap_or_default(), Vec::new(), self.pages.iter()))
    }

    fn write(&self, out: &mut dyn Write) {
        write_items::<Page>(out, self.stamp.unwrap_or_default(), Vec::new(), self.pages.iter());
    }

    fn removed_by(&self, document: &PagesDocument) -> usize {
        self.pages.keys().filter(|key| !document.items.contains_key(key)).count()
    }

    fn replaced_by(&self, document: PagesDocument) -> Result<(Self, Vec<()>), Vec<Reason>> {
        Ok((Self { stamp: Some(document.stamp), pages: document.items, hash: OnceLock::new() }, Vec::new()))
    }

    fn changed_by(&self, delta: PagesDelta) -> Result<(Self, Vec<()>), Vec<Reason>> {
        let mut pages = self.pages.clone();
        pages.retain(|key, _| !delta.remove.contains(key));
        pages.extend(delta.put);
        Ok((Self { stamp: Some(delta.stamp), pages, hash: OnceLock::new() }, Vec::new()))
    }
}

//! The documents that the proxy holds: changes come in, in order, are live at once and then on disk.

mod keys;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use karman_contract::answer::{Applied, Outcome, Refusal};
use karman_contract::document::{Beside, Delta, Document, DocumentName, Item, Stamp};
use karman_contract::read::{Read, Reason};
use karman_contract::status::{Confirmed, DocumentStatus};

pub use keys::HeldKeys;

use crate::live::Live;
use crate::order::{Standing, is_mass_removal, judge_delta, judge_whole};
use crate::saved_state::Saved;
use crate::vitals::lock;

/// An immutable table made from a document: built beside the live one, or refused.
pub trait Table: Default + Send + Sync + 'static {
    type Item: Item;
    /// What a change did, for those who follow it.
    type Change: Send;

    /// `None` for a table that no document made.
    fn stamp(&self) -> Option<Stamp>;

    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn has(&self, key: &<Self::Item as Item>::Key) -> bool;

    /// Whether it has exactly this item.
    fn holds(&self, key: &<Self::Item as Item>::Key, item: &Self::Item) -> bool;

    /// What the document carries beside its items.
    fn beside(&self) -> &<Self::Item as Item>::Beside;

    /// SHA-256 of the canonical form. Slow for a large table, and remembered: call it off the request path.
    fn hash(&self) -> &str;

    /// Writes the canonical form.
    fn write(&self, out: &mut dyn Write);

    /// How many items a whole document would take away.
    fn removed_by(&self, document: &Document<Self::Item>) -> usize;

    /// What is wrong, at this time, with items that a change brings. What comes from disk was judged
    /// when it was new, and is not judged again.
    fn judge<'a>(
        &self,
        _items: impl Iterator<Item = (&'a <Self::Item as Item>::Key, &'a Self::Item)>,
        _at: &str,
        _now: Timestamp,
    ) -> Vec<Reason> {
        Vec::new()
    }

    /// The next table from a whole document.
    fn replaced_by(&self, document: Document<Self::Item>) -> Result<(Self, Vec<Self::Change>), Vec<Reason>>;

    /// The next table from a delta, which has this table as its base.
    fn changed_by(&self, delta: Delta<Self::Item>) -> Result<(Self, Vec<Self::Change>), Vec<Reason>>;
}

/// When a document was last dealt with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub applied: Option<Timestamp>,
    pub saved: Option<Timestamp>,
    pub confirmed: Option<Timestamp>,
}

/// One kind of document: its live table, and its place on disk.
///
/// Changes wait for the disk and for one another: make them on a blocking thread.
#[derive(Debug)]
pub struct Held<T: Table> {
    pub live: Arc<Live<T>>,
    /// Held for the length of a change, so that tables follow one another in order.
    saved: Mutex<Saved>,
    times: Mutex<Times>,
}

/// A document loaded from disk, and what was wrong with its files.
#[derive(Debug)]
pub struct Restored<T: Table> {
    pub held: Held<T>,
    pub changes: Vec<T::Change>,
    pub warnings: Vec<String>,
}

impl<T: Table> Held<T> {
    /// Loads the last good document; without one the table is empty.
    pub fn load(dir: &Path) -> io::Result<Restored<T>> {
        let (mut saved, mut loaded) = Saved::open(dir, T::Item::DOCUMENT)?;
        let (mut table, mut changes, mut warnings) = loop {
            // Each time all of them: what was passed over before is named again.
            let warnings = std::mem::take(&mut loaded.warnings);
            let Some((stamp, text)) = loaded.snapshot.take() else { break (T::default(), Vec::new(), warnings) };
            match parse(&text).and_then(|document| T::default().replaced_by(document)) {
                Ok((table, changes)) => break (table, changes, warnings),
                Err(reasons) => {
                    let why = format!("the saved {} of {stamp} cannot be used: {}", T::Item::DOCUMENT, said(&reasons));
                    loaded = saved.fall_back(&why)?;
                }
            }
        };
        for delta in std::mem::take(&mut loaded.deltas) {
            match parse(&delta).and_then(|delta: Delta<T::Item>| table.changed_by(delta)) {
                Ok((next, change)) => {
                    table = next;
                    changes.extend(change);
                }
                Err(reasons) => {
                    warnings.push(format!(
                        "a saved change of the {} cannot be used, nor what came after it: {}",
                        T::Item::DOCUMENT,
                        said(&reasons)
                    ));
                    saved.expect_whole();
                    break;
                }
            }
        }
        let held = Self { live: Arc::new(Live::new(table)), saved: Mutex::new(saved), times: Mutex::default() };
        Ok(Restored { held, changes, warnings })
    }

    /// From now on another process saves the document.
    pub fn retire(&self) {
        lock(&self.saved).retire();
    }

    /// Replaces the document. `follow` hears of the changes as soon as they are live.
    pub fn put(&self, document: Document<T::Item>, follow: impl FnOnce(Vec<T::Change>)) -> Result<Applied, Refusal> {
        let mut saved = lock(&self.saved);
        let table = self.live.pin();
        let attempted = document.stamp;
        let equal = || {
            table.len() == document.items.len()
                && document.beside == *table.beside()
                && document.items.iter().all(|(key, item)| table.holds(key, item))
        };
        match judge_whole(table.stamp(), attempted, equal) {
            Standing::Next => {}
            standing => return self.unless_refused(standing, &table, attempted),
        }
        let removes = table.removed_by(&document);
        if is_mass_removal(removes, table.len()) && !document.force {
            return Err(Refusal::MassRemoval { removes, of: table.len() });
        }
        let reasons = table.judge(document.items.iter(), T::Item::DOCUMENT.as_str(), Timestamp::now());
        let (next, changes) = unless_judged(reasons, table.replaced_by(document))?;
        let next = self.publish(next);
        follow(changes);
        let on_disk = saved.save_whole(attempted, |out| next.write(out));
        Ok(self.applied(attempted, on_disk))
    }

    /// Changes the document.
    pub fn patch(&self, delta: Delta<T::Item>, follow: impl FnOnce(Vec<T::Change>)) -> Result<Applied, Refusal> {
        let mut saved = lock(&self.saved);
        let table = self.live.pin();
        let attempted = delta.stamp;
        let equal = || {
            delta.put.iter().all(|(key, item)| table.holds(key, item))
                && !delta.remove.iter().any(|key| table.has(key))
                && table.beside().changed_by(delta.beside.clone()) == *table.beside()
        };
        match judge_delta(table.stamp(), attempted, delta.base, equal) {
            Standing::Next => {}
            standing => return self.unless_refused(standing, &table, attempted),
        }
        let removes = delta.remove.iter().filter(|key| table.has(key)).count();
        if is_mass_removal(removes, table.len()) && !delta.force {
            return Err(Refusal::MassRemoval { removes, of: table.len() });
        }
        let json = serde_json::to_vec(&delta);
        let reasons = table.judge(delta.put.iter(), "put", Timestamp::now());
        let (next, changes) = unless_judged(reasons, table.changed_by(delta))?;
        let next = self.publish(next);
        follow(changes);
        let on_disk = json.map_err(Into::into).and_then(|json| saved.save_delta(attempted, &json));
        // The journal first, also where a snapshot is due: a torn snapshot then costs no change.
        let on_disk = if saved.wants_whole() { saved.save_whole(attempted, |out| next.write(out)) } else { on_disk };
        Ok(self.applied(attempted, on_disk))
    }

    /// Whether the publisher believes what is true; if so, the document counts as confirmed now.
    pub fn confirm(&self, confirmed: &Confirmed) -> bool {
        let table = self.live.pin();
        let stamp = Stamp { epoch: confirmed.epoch, generation: confirmed.generation };
        let agreed = table.stamp() == Some(stamp) && table.hash() == confirmed.hash;
        if agreed {
            lock(&self.times).confirmed = Some(Timestamp::now());
        }
        agreed
    }

    pub fn times(&self) -> Times {
        *lock(&self.times)
    }

    pub fn status(&self) -> DocumentStatus {
        let table = self.live.pin();
        let Times { applied, saved, confirmed } = self.times();
        let hash = table.stamp().map(|_| table.hash().to_owned());
        DocumentStatus {
            stamp: table.stamp(),
            hash,
            applied_at: applied,
            saved_at: saved,
            confirmed_at: confirmed,
            unconfirmed: false,
        }
    }

    fn unless_refused(&self, standing: Standing, table: &T, attempted: Stamp) -> Result<Applied, Refusal> {
        let current = table.stamp().unwrap_or_default();
        match standing {
            Standing::BaseMismatch => Err(Refusal::BaseMismatch { current }),
            Standing::Stale => Err(Refusal::Stale { current, attempted }),
            Standing::Next | Standing::Current => {
                Ok(Applied { outcome: Outcome::Current, stamp: attempted, saved: self.times().saved.is_some() })
            }
        }
    }

    fn publish(&self, next: T) -> Arc<T> {
        let next = Arc::new(next);
        self.live.publish(Arc::clone(&next));
        let mut times = lock(&self.times);
        *times = Times { applied: Some(Timestamp::now()), saved: None, ..*times };
        next
    }

    fn applied(&self, stamp: Stamp, on_disk: io::Result<()>) -> Applied {
        match &on_disk {
            Ok(()) => lock(&self.times).saved = Some(Timestamp::now()),
            Err(e) => {
                tracing::error!(document = %T::Item::DOCUMENT, %stamp, error = %e, "the document is live but not on disk: a restart would bring back an older one");
            }
        }
        Applied { outcome: Outcome::Applied, stamp, saved: on_disk.is_ok() }
    }
}

/// What was built, unless there is a reason against it; then all of them.
fn unless_judged<B>(mut reasons: Vec<Reason>, built: Result<B, Vec<Reason>>) -> Result<B, Refusal> {
    match built {
        Ok(built) if reasons.is_empty() => Ok(built),
        Ok(_) => Err(Refusal::Refused { reasons }),
        Err(more) => {
            reasons.extend(more);
            Err(Refusal::Refused { reasons })
        }
    }
}

fn parse<D: Read>(text: &[u8]) -> Result<D, Vec<Reason>> {
    Ok(D::read_json(text)?)
}

/// The first few reasons, for a line in a log.
fn said(reasons: &[Reason]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = reasons.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = reasons.len().saturating_sub(SHOWN);
    if more == 0 { shown.join("; ") } else { format!("{}; and {more} more", shown.join("; ")) }
}

/// The name of a table's document.
pub fn name_of<T: Table>() -> DocumentName {
    T::Item::DOCUMENT
}

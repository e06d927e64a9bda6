//! What a change of the store would do, found out by the same code that publishes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use karman_contract::app::App;
use karman_contract::name::AppId;

use crate::failure::Failure;
use crate::publish::intake::take_in;
use crate::publish::wanted::Items;
use crate::shared_map::Changed;
use crate::store::{Expect, Found, Key, Kind, Seen, Store, Text, Version};

pub struct Preview {
    before: Items<App>,
    after: Items<App>,
    /// What would be wrong by this change, and is not wrong now.
    pub mistakes: Vec<String>,
    /// What the change has to expect, so that it is the one that was looked at.
    pub expect: Expect,
}

/// Looks at the store as it is, and as it would be.
pub async fn of(store: &Arc<dyn Store>, key: &Key, text: Option<String>) -> Result<Preview, Failure> {
    let reading = store.read(&Kind::PUBLISHED).await?;
    let stands = reading.entries.iter().find(|(other, _)| other == key).map(|(_, seen)| seen.clone()).unwrap_or_default();
    let sorted: BTreeMap<_, _> = reading.entries.into_iter().collect();
    let mut catalog = take_in(store.as_ref(), Found::read_all(sorted), Timestamp::now());
    let before = catalog.apps().clone();
    let known: Vec<_> = catalog.mistakes().values().map(ToString::to_string).collect();

    let seen = match text {
        Some(text) => Seen::Text(Text { file: key.to_string(), text, version: Version::none(), entry: None }),
        None => Seen::Nothing,
    };
    catalog.update(vec![(key.clone(), Found::read(key, seen))], Timestamp::now());
    // What is wrong with the entry itself counts even if it was as wrong before.
    let mistakes = catalog.mistakes().iter().map(|(other, mistakes)| (other == key, mistakes.to_string()));
    let mistakes = mistakes.filter(|(own, mistake)| *own || !known.contains(mistake)).map(|(_, mistake)| mistake).collect();
    Ok(Preview { before, after: catalog.apps().clone(), mistakes, expect: stands.expect_any() })
}

impl Preview {
    /// The apps that are served otherwise by it, before and after.
    pub fn changes(&self) -> Vec<Changed<'_, AppId, App>> {
        self.before.changes(&self.after).collect()
    }
}

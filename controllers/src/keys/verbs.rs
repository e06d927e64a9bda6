//! `karman keys show|rotate`: what operators ask of the keys in the store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use karman_contract::yaml::read_yaml;
use serde::Serialize;

use super::account::{ACCOUNT, AccountFile, id_of_account};
use super::controller::{put, read_or_make};
use super::{KeysFile, Use};
use crate::certificates::verbs::Asked;
use crate::failure::{Exit, Failure};
use crate::row;
use crate::sealing::Sealing;
use crate::store::{Author, Key, Kind};
use crate::verbs::table::table;
use crate::verbs::{ago, print, print_json};

#[derive(clap::Subcommand)]
pub enum Verb {
    /// Show which keys there are and since when; never a key itself
    Show,
    /// Bring in a new key: it verifies at once, and signs a minute later
    Rotate {
        /// cookie, ticket, or the name of a CA whose account gets another key
        #[arg(value_name = "cookie|ticket|CA")]
        which: String,
    },
}

impl Verb {
    pub async fn run(self, asked: &Asked) -> Result<(), Failure> {
        match self {
            Self::Show => show(asked).await,
            Self::Rotate { which } => match Use::ALL.into_iter().find(|list| list.id() == which) {
                Some(list) => rotate(asked, list).await,
                None => rotate_account(asked, &which).await,
            },
        }
    }
}

#[derive(Serialize)]
struct Shown {
    signs_since: Timestamp,
    verify: Vec<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signs_next: Option<Timestamp>,
}

async fn show(asked: &Asked) -> Result<(), Failure> {
    let mut lists = BTreeMap::new();
    for list in Use::ALL {
        let seen = asked.store.look(&Key::new(Kind::Keys, list.id())).await?;
        let Some(text) = seen.text() else { continue };
        let file: KeysFile = read_yaml(&text.file, &text.text).map_err(|mistakes| Failure::data(mistakes.to_string()))?;
        let mut made = file.keys.iter().map(|key| key.made_at);
        let signs_since = made.next().unwrap_or_default();
        lists.insert(list.id(), Shown { signs_since, verify: made.collect(), signs_next: file.next.map(|next| next.made_at) });
    }
    if asked.json {
        return print_json(&lists);
    }
    if lists.is_empty() {
        return print("no keys yet: 'karman keys' makes them, and 'karman up' runs it\n");
    }
    let now = Timestamp::now();
    let rows = lists.iter().map(|(id, shown)| {
        let next = shown.signs_next.map_or_else(String::new, |_| ", and one that will sign".to_owned());
        row![id, format!("made {}", ago(shown.signs_since, now)), format!("{} older{next}", shown.verify.len())]
    });
    print(&table(&rows.collect::<Vec<_>>()))
}

async fn rotate(asked: &Asked, list: Use) -> Result<(), Failure> {
    let sealing = Sealing::of(asked.store.as_ref(), &asked.key_file).await?;
    let (mut file, expect, is_new) = read_or_make(asked.store.as_ref(), list, &sealing).await?;
    if file.next.is_some() {
        return Err(Failure::new(Exit::NotNow, format!("a new {} key came in a moment ago and signs soon", list.id())));
    }
    if !is_new {
        file.rotate(list, &sealing, Timestamp::now())?;
    }
    asked.store.commit(&put(list.id(), expect, &file, Author::person(None))?).await?;
    if asked.json {
        return print_json(&BTreeMap::from([("rotated", list.id())]));
    }
    print(&format!("a new {} key is in the store; 'karman keys' lets it sign once every edge has it\n", list.id()))
}

/// Only the controller that uses an account may replace its key; it is told to.
async fn rotate_account(asked: &Asked, ca: &str) -> Result<(), Failure> {
    let id = id_of_account(ca);
    let seen = asked.store.look(&Key::new(Kind::Keys, &id)).await?;
    let Some(text) = seen.text() else {
        return Err(Failure::usage(format!(
            "wanted cookie, ticket or a CA with an account ({ACCOUNT}CA in the store's keys); there is none at '{ca}'"
        )));
    };
    let mut file: AccountFile = read_yaml(&text.file, &text.text).map_err(|mistakes| Failure::data(mistakes.to_string()))?;
    file.rotate = true;
    asked.store.commit(&put(&id, seen.unchanged(), &file, Author::person(None))?).await?;
    if asked.json {
        return print_json(&BTreeMap::from([("rotated", ca)]));
    }
    print(&format!("'karman certificates' gives the account at {ca} another key\n"))
}

//! `karman block`, `unblock` and `blocks`: networks that are kept from one app or from all.

use ipnet::IpNet;
use jiff::Timestamp;
use karman_contract::name::AppId;
use serde::Serialize;

use super::table::table;
use super::{Asked, json, print, print_json, span};
use crate::failure::Failure;
use crate::row;
use crate::store::{Author, Expect, Found, Key, Kind, Transaction};

/// `deny/NET` or `deny/NET@APP`, as it is written and listed.
#[derive(Clone, Debug, Serialize)]
struct Block {
    net: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<AppId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Reads `203.0.113.0/24`, or an address, which is a network of one.
pub fn parse_net(text: &str) -> Result<IpNet, String> {
    let net = text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address)));
    net.map(|net| net.trunc()).map_err(|_| "wanted a network such as 203.0.113.0/24, or an address".to_owned())
}

pub async fn block(net: IpNet, app: Option<AppId>, until: Option<Timestamp>, why: String, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    if let Some(app) = &app
        && store.look(&Key::of(Kind::App, app)).await?.text().is_none()
    {
        return Err(Failure::usage(format!("there is no app '{app}' in the store {}", asked.place)));
    }
    let author = Author::person(Some(why));
    let block = Block { net, app, until, by: Some(author.by.clone()), why: author.why.clone() };
    let key = key(&net, block.app.as_ref());
    store.commit(&Transaction::new(author).put(key, Expect::Anything, json(&block)?)).await?;
    if asked.json {
        return print_json(&block);
    }
    print(&format!("{net} is to be kept out{}\n{}", whom(block.app.as_ref()), asked.written().await))
}

pub async fn unblock(net: IpNet, app: Option<AppId>, why: Option<String>, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let key = key(&net, app.as_ref());
    let seen = store.look(&key).await?;
    if seen.text().is_none() {
        return Err(Failure::usage(format!("{net} is not kept out{}: 'karman blocks' lists what is", whom(app.as_ref()))));
    }
    store.commit(&Transaction::new(Author::person(why)).remove(key, seen.unchanged())).await?;
    if asked.json {
        return print_json(&serde_json::json!({"unblocked": net}));
    }
    print(&format!("{net} is to be kept out{} no more\n{}", whom(app.as_ref()), asked.written().await))
}

pub async fn list(asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let now = Timestamp::now();
    let mut blocks = Vec::new();
    for (key, seen) in store.read(&[Kind::Deny]).await?.entries {
        match Found::read(&key, seen) {
            Found::Entry(entry) => blocks.extend(entry.deny().map(|entry| Block {
                net: entry.deny.net,
                app: entry.app.clone(),
                until: entry.deny.until,
                by: entry.by.clone(),
                why: entry.deny.why.clone(),
            })),
            Found::Broken(mistakes) => eprintln!("karman: {mistakes}"),
            Found::Nothing => {}
        }
    }
    blocks.retain(|block| block.until.is_none_or(|until| until > now));
    if asked.json {
        return print_json(&blocks);
    }
    let mut rows = vec![row!["NETWORK", "FROM", "FOR", "BY", "WHY"]];
    for Block { net, app, until, by, why } in &blocks {
        let from = app.as_ref().map_or_else(|| "all apps".to_owned(), ToString::to_string);
        let left = until.map_or_else(|| "ever".to_owned(), |until| span(until.duration_since(now)));
        rows.push(row![net, from, left, by.as_deref().unwrap_or("?"), why.as_deref().unwrap_or("")]);
    }
    print(&table(&rows))
}

fn key(net: &IpNet, app: Option<&AppId>) -> Key {
    let net: String = net.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Key::new(Kind::Deny, &app.map_or_else(|| net.clone(), |app| format!("{net}@{app}")))
}

fn whom(app: Option<&AppId>) -> String {
    app.map_or_else(String::new, |app| format!(" of {app}"))
}

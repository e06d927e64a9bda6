//! `karman edge forget NAME`: takes an edge that is gone for good out of the store, so that nobody waits for its answer.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::status::edges;
use super::{Asked, print, print_json, span};
use crate::failure::{Exit, Failure};
use crate::publish::report::Report;
use crate::publish::target::Label;
use crate::store::{Author, Expect, Key, Kind, Transaction};

#[derive(Serialize)]
struct Answer<'a> {
    edge: &'a str,
    /// The entries of the store that are gone.
    forgotten: Vec<String>,
}

/// `name`: the edge's own, or what its publisher calls it, or where it was reached. One that somebody may still publish to
/// is refused: what is done on every edge would be done without it.
pub async fn run(name: &str, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let (mut forgotten, mut names) = (BTreeSet::new(), BTreeSet::from([name.to_owned()]));
    for (label, report) in Report::read_all(store.as_ref()).await? {
        let own = report.edge.map(|edge| edge.name);
        if [Some(label.as_str()), Some(&report.at_socket), own.as_deref()].contains(&Some(name)) {
            if let Some(holder) = store.holder(&label.lease()).await? {
                return Err(Failure::new(Exit::NotNow, format!("{holder} publishes to the edge {name}: end that first")));
            }
            forgotten.insert(label.report_key());
            names.extend(own);
        }
    }
    let heard_of = edges(asked).await;
    let now = Timestamp::now();
    for (id, edge) in names.iter().filter_map(|name| heard_of.get_key_value(Label::from_name(name).as_str())) {
        if edge.alive_until > now {
            let left = span(edge.alive_until.duration_since(now));
            let message = format!("the edge {id} was heard of just now: let nobody publish to it, and say it again in {left}");
            return Err(Failure::new(Exit::NotNow, message));
        }
        forgotten.insert(Key::new(Kind::Edge, id));
    }
    if forgotten.is_empty() {
        return Err(Failure::usage(format!("the store {} knows no edge '{name}': see 'karman status'", store.place())));
    }
    let change = Transaction::new(Author::person(None));
    store.commit(&forgotten.iter().fold(change, |change, key| change.remove(key.clone(), Expect::Anything))).await?;
    if asked.json {
        return print_json(&Answer { edge: name, forgotten: forgotten.iter().map(ToString::to_string).collect() });
    }
    print(&format!("{name} is forgotten; whoever publishes to it makes it known again\n"))
}

//! `karman certificates list|show|why|renew|add|import`: what operators ask of the certificates in the store.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use karman_contract::name::HostPattern;
use karman_contract::yaml::read_yaml;
use serde::Serialize;

use super::budget::Budgets;
use super::choice::Health;
use super::entry::{CertificateFile, Source, id_of, id_of_brought};
use super::import::{self, Found};
use super::job::certificate_file;
use super::made::Made;
use super::need::Need;
use super::order::Order;
use super::pair::{Pair, fingerprint};
use super::plan::{Known, Task};
use super::renewal;
use super::settings::Settings;
use super::view::View;
use super::why::why;
use crate::failure::{Exit, Failure};
use crate::row;
use crate::sealing::Sealing;
use crate::store::{Author, Expect, Key, Kind, Store, StoreError, Transaction};
use crate::verbs::table::table;
use crate::verbs::{print, print_json, span};

#[derive(clap::Subcommand)]
pub enum Verb {
    /// List the certificates, and the names that have none
    List,
    /// Show one certificate
    Show {
        /// A name that it is for, or its id
        name: String,
    },
    /// Say in one line what a name waits for
    Why {
        #[arg(value_name = "NAME")]
        name: HostPattern,
    },
    /// Try a name again now, or renew its certificate now
    Renew {
        #[arg(value_name = "NAME")]
        name: HostPattern,
    },
    /// Check a chain and its key, and put them into the store
    Add {
        /// The chain in PEM, leaf first
        #[arg(long, value_name = "FILE")]
        chain: PathBuf,

        /// The private key in PEM
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Print the root of the store's own CA, for browsers that shall trust it
    Root,
    /// Take over the certificates of certbot, Caddy or Traefik
    Import {
        /// Where the other proxy keeps them, such as /etc/letsencrypt
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// Where a verb looks, and how it answers.
pub struct Asked {
    pub store: Arc<dyn Store>,
    pub key_file: PathBuf,
    pub json: bool,
}

impl Verb {
    pub async fn run(self, asked: &Asked) -> Result<(), Failure> {
        match self {
            Self::List => list(asked).await,
            Self::Show { name } => show(asked, &name).await,
            Self::Why { name } => say_why(asked, &name).await,
            Self::Renew { name } => renew(asked, &name).await,
            Self::Add { chain, key } => add(asked, &chain, &key).await,
            Self::Root => root(asked).await,
            Self::Import { dir } => import(asked, &dir).await,
        }
    }
}

/// One line of the list.
#[derive(Serialize)]
struct Line {
    id: String,
    names: Vec<HostPattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Shown>,
    /// In one line, how it stands.
    why: String,
}

/// A certificate without its key.
#[derive(Serialize)]
struct Shown {
    source: Source,
    ca: Option<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    /// When it will be renewed, unless it is due already.
    renewed_at: Option<Timestamp>,
    fingerprint: Option<String>,
}

impl Shown {
    fn new(file: &CertificateFile, now: Timestamp) -> Self {
        Self {
            source: file.source,
            ca: file.ca.clone(),
            not_before: file.not_before,
            not_after: file.not_after,
            renewed_at: renewal::due(file, now).err(),
            fingerprint: fingerprint(&file.chain),
        }
    }
}

async fn list(asked: &Asked) -> Result<(), Failure> {
    let now = Timestamp::now();
    let view = View::read(asked.store.as_ref()).await?;
    let lines = lines(&view, &Made::read(asked.store.as_ref()).await?, now);
    if asked.json {
        return print_json(&lines);
    }
    let mut rows = vec![row!["NAMES", "FROM", "ENDS IN", "STANDS"]];
    for line in &lines {
        let names: Vec<_> = line.names.iter().map(ToString::to_string).collect();
        let (from, left) = line.certificate.as_ref().map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |shown| {
                let from = shown.ca.clone().unwrap_or_else(|| shown.source.as_str().to_owned());
                (from, span(now.duration_until(shown.not_after)))
            },
        );
        rows.push(row![names.join(" "), from, left, line.why]);
    }
    print(&table(&rows))?;
    let mistakes: Vec<_> = view.mistakes.values().map(ToString::to_string).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Failure::data(mistakes.join("\n"))) }
}

fn lines(view: &View, made: &Made, now: Timestamp) -> Vec<Line> {
    let settings = view.settings();
    let needs = view.needs(&settings);
    let known = Known::new(&needs, &view.certificates, &view.orders, now);
    let waits = Waits::new(&settings, &known, made);
    let mut lines: Vec<_> = needs
        .iter()
        .map(|(id, need)| Line {
            id: id.clone(),
            names: vec![need.name.clone()],
            certificate: known.certificate_for(id, need).map(|(_, file)| Shown::new(file, now)),
            why: waits.why(id, need),
        })
        .collect();
    let unneeded = view.certificates.iter().filter(|(id, _)| !needs.contains_key(*id));
    lines.extend(unneeded.map(|(id, file)| Line {
        id: id.clone(),
        names: file.names.clone(),
        certificate: Some(Shown::new(file, now)),
        why: format!("is there until {}", file.not_after),
    }));
    lines
}

/// What all names of a store wait for.
struct Waits<'a> {
    settings: &'a Settings,
    known: &'a Known<'a>,
    budgets: Budgets,
}

impl<'a> Waits<'a> {
    fn new(settings: &'a Settings, known: &'a Known<'a>, made: &Made) -> Self {
        Self { settings, known, budgets: known.budgets(settings, made) }
    }

    fn why(&self, id: &str, need: &Need) -> String {
        // How the CAs are just now, only the controller knows.
        let ca = self.known.ca_for(id, need, self.settings, &Health::default()).map_or("", |ca| &ca.name);
        let is_work = matches!(self.known.task(id, need, ca, &self.budgets), Task::Work { .. });
        if is_work && self.settings.cas.is_empty() {
            return format!("{} is not ordered: platform.yaml names no CA under 'certificates'", need.name);
        }
        why(self.known, id, need, ca, &self.budgets)
    }
}

async fn show(asked: &Asked, name: &str) -> Result<(), Failure> {
    let view = View::read(asked.store.as_ref()).await?;
    let pattern: Option<HostPattern> = name.parse().ok();
    let is_for = |file: &CertificateFile| pattern.as_ref().is_some_and(|pattern| file.covers(pattern));
    let found = view.certificates.iter().find(|(id, _)| *id == name);
    let found = found.or_else(|| view.certificates.iter().find(|(_, file)| is_for(file)));
    let Some((id, file)) = found else {
        return Err(Failure::new(Exit::Data, format!("no certificate in the store is for {name}")));
    };
    let now = Timestamp::now();
    let shown = Shown::new(file, now);
    if asked.json {
        return print_json(&BTreeMap::from([(id, shown)]));
    }
    let names: Vec<_> = file.names.iter().map(ToString::to_string).collect();
    let renewed = shown.renewed_at.map_or_else(|| "now".to_owned(), |at| format!("{at}, in {}", span(now.duration_until(at))));
    print(&table(&[
        row!["id", id],
        row!["names", names.join(", ")],
        row!["from", format!("{} {}", file.source.as_str(), file.ca.clone().unwrap_or_default())],
        row!["good from", file.not_before],
        row!["good until", format!("{}, in {}", file.not_after, span(now.duration_until(file.not_after)))],
        row!["renewed at", renewed],
        row!["SHA-256", shown.fingerprint.unwrap_or_default()],
    ]))
}

async fn say_why(asked: &Asked, name: &HostPattern) -> Result<(), Failure> {
    let view = View::read(asked.store.as_ref()).await?;
    let settings = view.settings();
    let needs = view.needs(&settings);
    let known = Known::new(&needs, &view.certificates, &view.orders, Timestamp::now());
    let id = id_of(name);
    let Some(need) = needs.get(&id) else {
        let covering = needs.values().find(|need| super::entry::covers(&need.name, name));
        let message = match covering {
            Some(need) => format!("{name} is covered by {}: ask for that", need.name),
            None => format!("{name} is a host of no app that is live, so it needs no certificate"),
        };
        return Err(Failure::new(Exit::Data, message));
    };
    let made = Made::read(asked.store.as_ref()).await?;
    let why = Waits::new(&settings, &known, &made).why(&id, need);
    if asked.json { print_json(&BTreeMap::from([("why", why)])) } else { print(&format!("{why}\n")) }
}

/// Clears the wait of a name, or asks for a renewal before its time.
async fn renew(asked: &Asked, name: &HostPattern) -> Result<(), Failure> {
    let view = View::read(asked.store.as_ref()).await?;
    let settings = view.settings();
    let id = id_of(name);
    let Some(need) = view.needs(&settings).remove(&id) else {
        return Err(Failure::new(Exit::Data, format!("{name} is a host of no app that is live: nothing is ordered for it")));
    };
    if let Err(unable) = need.way {
        return Err(Failure::new(Exit::Data, format!("{name}: {}", unable.as_str())));
    }
    let key = Key::new(Kind::Order, &id);
    let seen = asked.store.look(&key).await?;
    let mut order = view.orders.get(&id).cloned().unwrap_or_else(|| Order::new(vec![name.clone()], Timestamp::now()));
    order.try_now();
    order.asked_for = true;
    let transaction = Transaction::new(Author::person(None)).put(key, seen.unchanged(), json(&order)?);
    asked.store.commit(&transaction).await?;
    let controller = asked.store.holder(super::NAME).await?;
    if asked.json {
        return print_json(&serde_json::json!({"asked_for": name, "controller": controller}));
    }
    print(&match controller {
        Some(_) => format!("{name} is asked for; 'karman certificates why {name}' tells how it goes\n"),
        None => format!("{name} is asked for, but nobody orders it: no 'karman certificates' runs on this store\n"),
    })
}

async fn add(asked: &Asked, chain: &Path, key: &Path) -> Result<(), Failure> {
    let text = |path: &Path| fs::read_to_string(path).map_err(|error| Failure::system(path.display(), &error));
    let pair = Pair::read(&text(chain)?, &text(key)?, Timestamp::now());
    let pair = pair.map_err(|reasons| Failure::data(format!("{}: {}", chain.display(), reasons.join("\n"))))?;
    let sealing = Sealing::of(asked.store.as_ref(), &asked.key_file).await?;
    let id = put(asked, &pair, Source::Added, &sealing).await?;
    let view = View::read(asked.store.as_ref()).await?;
    let hosts = view.hosts();
    let idle: Vec<_> = pair.names.iter().filter(|name| !hosts.iter().any(|host| super::entry::covers(name, host))).collect();
    if asked.json {
        return print_json(&serde_json::json!({"id": id, "names": pair.names, "not_after": pair.not_after, "idle": idle}));
    }
    let words = |names: &[&HostPattern]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    print(&format!("{id}: {} until {}\n", words(&pair.names.iter().collect::<Vec<_>>()), pair.not_after))?;
    if idle.is_empty() { Ok(()) } else { print(&format!("no app has {} yet\n", words(&idle))) }
}

async fn root(asked: &Asked) -> Result<(), Failure> {
    match View::read(asked.store.as_ref()).await?.local_ca {
        Some(ca) if asked.json => print_json(&BTreeMap::from([("root", ca.root)])),
        Some(ca) => print(&ca.root),
        None => Err(Failure::new(Exit::Data, "this store has no CA of its own: 'cas: [local]' in platform.yaml makes one")),
    }
}

/// What came of an import.
#[derive(Default, Serialize)]
struct Imported {
    taken: Vec<Taken>,
    /// Where the store has one that is as good.
    as_good: Vec<String>,
    refused: Vec<String>,
}

#[derive(Serialize)]
struct Taken {
    id: String,
    from: String,
    not_after: Timestamp,
}

async fn import(asked: &Asked, dir: &Path) -> Result<(), Failure> {
    let harvest = import::read(dir)?;
    let sealing = Sealing::of(asked.store.as_ref(), &asked.key_file).await?;
    let now = Timestamp::now();
    let mut imported = Imported { refused: harvest.unreadable, ..Imported::default() };
    for Found { place, chain, key } in harvest.found {
        match Pair::read(&chain, &key, now) {
            Ok(pair) if is_as_good_there(asked, &pair).await? => imported.as_good.push(place),
            Ok(pair) => {
                let id = put(asked, &pair, Source::Imported, &sealing).await?;
                imported.taken.push(Taken { id, from: place, not_after: pair.not_after });
            }
            Err(reasons) => imported.refused.push(format!("{place}: {}", reasons.join("; "))),
        }
    }
    let Imported { taken, as_good, refused } = &imported;
    if asked.json {
        print_json(&imported)?;
    } else {
        let taken_lines = taken.iter().map(|Taken { id, from, not_after }| format!("{id}: until {not_after}, from {from}\n"));
        let as_good_lines = as_good.iter().map(|place| format!("{place}: the store has one that is as good\n"));
        let lines: String = taken_lines.chain(as_good_lines).collect();
        print(&format!("{lines}{} taken over, {} refused\n", taken.len(), refused.len()))?;
    }
    if refused.is_empty() { Ok(()) } else { Err(Failure::data(refused.join("\n"))) }
}

/// Whether the store has one that is good for the same names as long, brought or ordered.
async fn is_as_good_there(asked: &Asked, pair: &Pair) -> Result<bool, StoreError> {
    let ordered = pair.names.first().filter(|_| !pair.is_rsa).map(id_of);
    for id in ordered.into_iter().chain([id_of_brought(&pair.names, pair.is_rsa)]) {
        let seen = asked.store.look(&Key::new(Kind::Certificate, &id)).await?;
        let file = seen.text().and_then(|text| read_yaml::<CertificateFile>(&text.file, &text.text).ok());
        if file.is_some_and(|file| file.not_after >= pair.not_after && pair.names.iter().all(|name| file.names.contains(name))) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn put(asked: &Asked, pair: &Pair, source: Source, sealing: &Sealing) -> Result<String, Failure> {
    let id = id_of_brought(&pair.names, pair.is_rsa);
    let file = certificate_file(&id, pair, source, None, None, sealing)?;
    let key = Key::new(Kind::Certificate, &id);
    let transaction = Transaction::new(Author::person(None)).put(key, Expect::Anything, json(&file)?);
    asked.store.commit(&transaction).await?;
    Ok(id)
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::data(error.to_string()))
}

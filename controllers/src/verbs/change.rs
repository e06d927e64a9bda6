//! Changing apps: looked through as the proxy would, shown, and written only if nobody was faster.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use karman_contract::app::App;
use karman_contract::name::AppId;
use serde::Serialize;

use super::lines::differences;
use super::preview;
use super::{Asked, print, print_json};
use crate::failure::{Exit, Failure};
use crate::shared_map::Changed;
use crate::store::{Author, Change, History, Key, Kind, Seen, Store, TEXT_BYTES_MAX, Transaction};

/// What a change of the store would do, or did.
#[derive(Serialize)]
struct Answer<'a> {
    /// The apps that are served otherwise, each with its new form; `null` is gone.
    changes: BTreeMap<&'a AppId, Option<&'a App>>,
    written: bool,
}

/// `karman apps put`: FILE becomes an app, under the id that it is named by.
pub async fn put(file: &Path, id: Option<AppId>, dry_run: bool, why: Option<String>, asked: &Asked) -> Result<(), Failure> {
    let id = match id {
        Some(id) => id,
        None => id_of(file)?,
    };
    let text = read(file)?;
    replace(&Key::of(Kind::App, &id), Some(text), dry_run, why, asked).await
}

/// `karman apps edit`: the app in the editor of whoever asks.
pub async fn edit(id: &AppId, why: Option<String>, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let key = Key::of(Kind::App, id);
    let before = text_of(store.as_ref(), &key).await?;
    let folder = tempfile::tempdir().map_err(|error| Failure::system("a temporary directory", &error))?;
    let file = folder.path().join(format!("{id}.yaml"));
    fs::write(&file, before.as_deref().unwrap_or(NEW)).map_err(|error| Failure::system(file.display(), &error))?;
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_else(|| "vi".to_owned());
    // An editor with its arguments is one word to the environment.
    let edited = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&file).status();
    let edited = edited.map_err(|error| Failure::system(&editor, &error))?;
    if !edited.success() {
        return Err(Failure::new(Exit::System, format!("{editor} ended with {edited}: nothing was changed")));
    }
    let text = read(&file)?;
    if Some(&text) == before.as_ref() {
        return print("nothing was changed\n");
    }
    let replaced = replace(&key, Some(text), false, why, asked).await;
    if replaced.is_err() {
        // What somebody typed is not thrown away.
        let kept = folder.keep().join(format!("{id}.yaml"));
        eprintln!("karman: your text is kept in {}", kept.display());
    }
    replaced
}

/// What an editor shows of an app that is not there yet.
const NEW: &str = "hosts: []\ninstances: {}\n";

/// `karman apps rm`: the app goes, with what verbs and controllers said of it.
pub async fn remove(id: &AppId, why: Option<String>, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let mut removal = Transaction::new(Author::person(why));
    for key in [Kind::App, Kind::State, Kind::Instances, Kind::Draining].map(|kind| Key::of(kind, id)) {
        let seen = store.look(&key).await?;
        match seen {
            Seen::Nothing if key.kind == Kind::App => return Err(no_app(id, asked)),
            Seen::Nothing => {}
            seen => removal = removal.remove(key, seen.expect_any()),
        }
    }
    store.commit(&removal).await?;
    if asked.json {
        return print_json(&serde_json::json!({"removed": id}));
    }
    print(&format!("{id} is to go\n{}", asked.written().await))
}

/// `karman apps rollback`: a version from the history, written as a change of its own.
pub async fn rollback(id: &AppId, number: u64, why: Option<String>, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let key = Key::of(Kind::App, id);
    let text = version(store.as_ref(), &key, number).await?;
    let why = why.unwrap_or_else(|| format!("rolled back to change {number}"));
    replace(&key, Some(text), false, Some(why), asked).await
}

/// `karman apps diff`: what changed between two versions, or what a file would change.
pub async fn diff(id: &AppId, from: Option<u64>, to: Option<u64>, file: Option<PathBuf>, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let key = Key::of(Kind::App, id);
    let now = text_of(store.as_ref(), &key).await?;
    let before = match (from, &now) {
        (Some(number), _) => version(store.as_ref(), &key, number).await?,
        (None, Some(now)) => now.clone(),
        (None, None) => return Err(no_app(id, asked)),
    };
    let after = match (to, file) {
        (Some(number), _) => version(store.as_ref(), &key, number).await?,
        (None, Some(file)) => read(&file)?,
        (None, None) => now.unwrap_or_default(),
    };
    let lines = differences(&before, &after);
    if asked.json { print_json(&serde_json::json!({"differences": lines})) } else { print(&lines.join("")) }
}

/// `karman apps history`: who changed the app, when and why.
pub async fn history(id: &AppId, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let (mut changes, mut is_read) = (Vec::new(), true);
    for kind in [Kind::App, Kind::State, Kind::Draining] {
        let history = read_history(store.as_ref(), &Key::of(kind, id)).await?;
        is_read &= history.unreadable.is_empty();
        changes.extend(history.changes.into_iter().map(|change| (kind, change)));
    }
    if changes.is_empty() && is_read {
        return Err(no_history(&Key::of(Kind::App, id)));
    }
    changes.sort_by_key(|(_, change)| change.at);
    if asked.json {
        let changes: Vec<_> = changes.iter().map(|(kind, change)| WithKind { kind: kind.name(), change }).collect();
        return print_json(&changes);
    }
    let mut rows = vec![crate::row!["CHANGE", "AT", "BY", "OF", "WHY"]];
    for (kind, Change { number, at, by, why, text }) in &changes {
        let of = if text.is_some() { kind.name().to_owned() } else { format!("{}, removed", kind.name()) };
        rows.push(crate::row![number, at.strftime("%Y-%m-%dT%H:%M:%SZ"), by, of, why.as_deref().unwrap_or("")]);
    }
    print(&super::table::table(&rows))
}

#[derive(Serialize)]
struct WithKind<'a> {
    kind: &'static str,
    #[serde(flatten)]
    change: &'a Change,
}

/// Writes an entry if what follows from it can be used, and says what changes by it.
async fn replace(key: &Key, text: Option<String>, dry_run: bool, why: Option<String>, asked: &Asked) -> Result<(), Failure> {
    let store = asked.store().await?;
    let preview = preview::of(&store, key, text.clone()).await?;
    if !preview.mistakes.is_empty() {
        return Err(Failure::data(format!("nothing was changed\n{}", preview.mistakes.join("\n"))));
    }
    if !dry_run {
        let author = Author::person(why);
        let transaction = match text {
            Some(text) => Transaction::new(author).put(key.clone(), preview.expect.clone(), text),
            None => Transaction::new(author).remove(key.clone(), preview.expect.clone()),
        };
        store.commit(&transaction).await?;
    }
    let changes = preview.changes();
    if asked.json {
        let changes = changes.iter().map(|changed| (changed.key, changed.after.map(Arc::as_ref))).collect();
        return print_json(&Answer { changes, written: !dry_run });
    }
    let mut said = String::new();
    for Changed { key: id, before, after } in changes {
        said.push_str(&format!("{id}{}:\n", if after.is_none() { " is gone" } else { "" }));
        said.extend(differences(&pretty(before), &pretty(after)).iter().map(|line| format!("  {line}")));
    }
    if said.is_empty() {
        said.push_str("no app is served otherwise\n");
    }
    said.push_str(&if dry_run { "nothing was written: that was a dry run\n".to_owned() } else { asked.written().await });
    print(&said)
}

fn pretty(app: Option<&Arc<App>>) -> String {
    app.and_then(|app| serde_json::to_string_pretty(app.as_ref()).ok()).map(|text| text + "\n").unwrap_or_default()
}

async fn text_of(store: &dyn Store, key: &Key) -> Result<Option<String>, Failure> {
    match store.look(key).await? {
        Seen::Nothing => Ok(None),
        Seen::Text(text) => Ok(Some(text.text)),
        Seen::Unreadable(mistakes) => Err(Failure::data(mistakes.to_string())),
    }
}

/// The history of an entry; what cannot be read of it is said.
async fn read_history(store: &dyn Store, key: &Key) -> Result<History, Failure> {
    let history = store.history(key).await?;
    history.unreadable.iter().for_each(|mistake| eprintln!("karman: {mistake}"));
    Ok(history)
}

async fn version(store: &dyn Store, key: &Key, number: u64) -> Result<String, Failure> {
    let History { changes, unreadable } = read_history(store, key).await?;
    let kept = match (changes.first(), changes.last()) {
        (Some(first), Some(last)) => format!("{} to {}", first.number, last.number),
        _ if unreadable.is_empty() => return Err(no_history(key)),
        _ => "none that can be read".to_owned(),
    };
    let change = changes.into_iter().find(|change| change.number == number);
    let change = change.ok_or_else(|| Failure::usage(format!("there is no change {number} of {key}: {kept} are kept")))?;
    change.text.ok_or_else(|| Failure::usage(format!("change {number} of {key} removed it: there is no text to go back to")))
}

fn id_of(file: &Path) -> Result<AppId, Failure> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let wanted = |why: String| Failure::usage(format!("{}: {why}; name the app with --id", file.display()));
    stem.parse().map_err(wanted)
}

/// The text of a file, or (`-`) what comes in.
fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let limit = TEXT_BYTES_MAX as u64 + 1;
    let read = if file == Path::new("-") {
        io::stdin().take(limit).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::system(file.display(), &error))?;
    Ok(text)
}

fn no_app(id: &AppId, asked: &Asked) -> Failure {
    Failure::usage(format!("there is no app '{id}' in the store {}", asked.place))
}

fn no_history(key: &Key) -> Failure {
    Failure::usage(format!("{key} was never changed since the store keeps history"))
}

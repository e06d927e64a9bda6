//! What becomes of a store's entries, as tables: files in, apps and mistakes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use karman_contract::yaml::FileMistakes;

use super::Catalog;
use crate::store::{Directory, Entry, Found, Key};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// A store in memory, edited file by file.
#[derive(Default)]
struct Store {
    catalog: Catalog,
}

fn key(file: &str) -> Key {
    let directory = Directory::new("/store");
    directory.key_of(&directory.root().join(file)).unwrap_or_else(|| panic!("{file} is no entry"))
}

impl Store {
    fn with(files: &[(&str, &str)]) -> Self {
        let mut store = Self::default();
        store.edit(files);
        store
    }

    /// Writes files at once; returns what is accepted of them.
    fn edit(&mut self, files: &[(&str, &str)]) -> Vec<String> {
        self.edit_at(files, NOW)
    }

    fn edit_at(&mut self, files: &[(&str, &str)], now: Timestamp) -> Vec<String> {
        let found = |file: &str, text: &str| match Entry::read(&key(file), file, text.to_owned()) {
            Ok(entry) => Found::Entry(Arc::new(entry)),
            Err(mistakes) => Found::Broken(mistakes),
        };
        let looked = files.iter().map(|(file, text)| (key(file), found(file, text))).collect();
        self.catalog.update(looked, now).keys().map(ToString::to_string).collect()
    }

    fn remove(&mut self, files: &[&str]) -> Vec<String> {
        let looked = files.iter().map(|file| (key(file), Found::Nothing)).collect();
        self.catalog.update(looked, NOW).keys().map(ToString::to_string).collect()
    }

    /// The value at a path of an app, as JSON; nothing if the app is not served.
    fn value(&self, app: &str, pointer: &str) -> Option<String> {
        let app = serde_json::to_value(self.catalog.apps().get(app)?.as_ref()).unwrap();
        Some(app.pointer(pointer).map(ToString::to_string).unwrap_or_default())
    }

    fn hosts(&self) -> BTreeMap<String, String> {
        let apps = self.catalog.apps().iter();
        apps.map(|(id, app)| (id.to_string(), app.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))).collect()
    }

    fn mistake(&self, file: &str) -> String {
        self.catalog.mistakes().get(&key(file)).map(FileMistakes::to_string).unwrap_or_default()
    }

    /// Restarts with what was remembered, and finds these files.
    fn restarted(&self, files: &[(&str, &str)]) -> Self {
        let good = self.catalog.keys().filter_map(|key| Some((key.clone(), Arc::clone(self.catalog.entry(key)?))));
        let mut store = Self { catalog: Catalog::remembering(good) };
        let gone: Vec<_> =
            store.catalog.keys().filter(|key| !files.iter().any(|(file, _)| super::tests::key(file) == **key)).cloned().collect();
        let mut looked: Vec<_> = gone.into_iter().map(|key| (key, Found::Nothing)).collect();
        looked.extend(files.iter().map(|(file, text)| {
            let found = match Entry::read(&key(file), file, (*text).to_owned()) {
                Ok(entry) => Found::Entry(Arc::new(entry)),
                Err(mistakes) => Found::Broken(mistakes),
            };
            (key(file), found)
        }));
        store.catalog.update(looked, NOW);
        store
    }
}

#[test]
fn layers_are_laid_one_over_the_other() {
    let store = Store::with(&[
        ("defaults.yaml", "warm_seconds: 7\nlimits: {queue: 5, sockets: 6}\nhealth: {path: /up}\ndeny: [{net: 10.0.0.0/8}]\n"),
        ("plans/small.yaml", "limits: {sockets: 9}\nowner: acme\n"),
        ("apps/a.yaml", "plan: small\nhosts: [a.example.com]\nlimits: {queue: 1}\ndeny: []\n"),
        ("apps/b.yaml", "hosts: [b.example.com]\nhealth:\ninstances: {b-1: {address: '10.0.0.1:80'}}\n"),
        ("state/a.json", r#"{"state":"maintenance","by":"kim","why":"moving"}"#),
        ("instances/a.json", r#"{"a-1":{"address":"10.0.0.2:80","release":4}}"#),
    ]);
    for (app, pointer, wanted) in [
        ("a", "/warm_seconds", "7"),
        ("a", "/limits/queue", "1"),
        ("a", "/limits/sockets", "9"),
        ("a", "/limits/connections", "20000"),
        ("a", "/owner", "\"acme\""),
        ("a", "/deny", ""),
        ("a", "/health/path", "\"/up\""),
        ("a", "/state", "\"maintenance\""),
        ("a", "/note", r#"{"by":"kim","why":"moving"}"#),
        ("a", "/instances/a-1/release", "4"),
        ("b", "/limits/sockets", "6"),
        ("b", "/owner", "\"b\""),
        ("b", "/health", ""),
        ("b", "/instances/b-1/address", "\"10.0.0.1:80\""),
    ] {
        assert_eq!(store.value(app, pointer).as_deref(), Some(wanted), "{app} {pointer}");
    }
    assert!(store.catalog.mistakes().is_empty(), "{:?}", store.catalog.mistakes());
}

#[test]
fn a_broken_file_keeps_its_last_good_version_and_is_named_with_line_and_caret() {
    let mut store = Store::with(&[("apps/a.yaml", "hosts: [a.example.com]\n"), ("defaults.yaml", "warm_seconds: 7\n")]);
    for (file, text, wanted) in [
        ("apps/a.yaml", "hosts: [a.example.com\n", "apps/a.yaml:"),
        ("apps/a.yaml", "", "the field 'hosts' is required"),
        ("apps/a.yaml", "hosts: [a.example.com]\nstate: runing\n", "apps/a.yaml:2:8: state: found 'runing'"),
        ("apps/a.yaml", "hosts: [a.example.com]\nplan: [gold]\n", "apps/a.yaml:2:7: plan: wanted the name of a plan"),
        ("apps/a.yaml", "hosts: [a.example.com]\nplan: gold\n", "apps/a.yaml:2:7: plan: there is no plan 'gold'"),
        ("defaults.yaml", "warm_seconds: soon\n", "defaults.yaml:1:15: warm_seconds: found 'soon'"),
        ("defaults.yaml", "hosts: [x.example.com]\n", "defaults.yaml:1:1: hosts: stands in the app's own file"),
        ("defaults.yaml", "- 1\n", "wanted a map of fields"),
    ] {
        assert_eq!(store.edit(&[(file, text)]), [""; 0], "{text:?} is not accepted");
        assert!(store.mistake(file).contains(wanted), "{text:?}: {}", store.mistake(file));
        assert_eq!(store.value("a", "/warm_seconds").as_deref(), Some("7"), "{text:?}");
    }
    store.edit(&[("apps/a.yaml", "hosts: [a2.example.com]\n"), ("defaults.yaml", "warm_seconds: 8\n")]);
    assert_eq!(store.value("a", "/warm_seconds").as_deref(), Some("8"));
    assert_eq!(store.hosts()["a"], "a2.example.com");
    assert!(store.catalog.mistakes().is_empty(), "{:?}", store.catalog.mistakes());
}

#[test]
fn a_broken_file_that_was_never_good_holds_back_nobody_else() {
    let mut store = Store::with(&[("apps/a.yaml", "host: [a.example.com]\n"), ("apps/b.yaml", "hosts: [b.example.com]\n")]);
    assert_eq!(store.hosts().into_keys().collect::<Vec<_>>(), ["b"]);
    store.edit(&[("apps/c.yaml", "hosts: [c.example.com]\n")]);
    assert_eq!(store.hosts().into_keys().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(store.edit(&[("apps/a.yaml", "hosts: [a.example.com]\n")]), ["apps/a"]);
}

#[test]
fn a_host_stays_with_the_app_that_had_it_else_goes_to_the_lower_id() {
    // Files at once, then files at once; the hosts that come out, and who is told of what.
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Pairs<'_>, Pairs<'_>, Pairs<'_>, Pairs<'_>); 7] = [
        (
            "both new: the lower id",
            &[],
            &[("apps/b.yaml", "hosts: [x.test]"), ("apps/a.yaml", "hosts: [x.test]")],
            &[("a", "x.test")],
            &[("apps/b.yaml", "1:9: hosts[0]: 'x.test' belongs to the app 'a'")],
        ),
        (
            "the one that had it, though its id is higher",
            &[("apps/b.yaml", "hosts: [x.test]"), ("apps/a.yaml", "hosts: [a.test]")],
            &[("apps/a.yaml", "hosts: [a.test, x.test]")],
            &[("a", "a.test"), ("b", "x.test")],
            &[("apps/a.yaml", "'x.test' belongs to the app 'b'")],
        ),
        (
            "it keeps it while it asks for more in the same moment",
            &[("apps/b.yaml", "hosts: [x.test]")],
            &[("apps/a.yaml", "hosts: [x.test]"), ("apps/b.yaml", "hosts: [x.test, y.test]")],
            &[("b", "x.test y.test")],
            &[("apps/a.yaml", "'x.test' belongs to the app 'b'")],
        ),
        (
            "given up by one and taken by the other at once",
            &[("apps/b.yaml", "hosts: [x.test]"), ("apps/a.yaml", "hosts: [a.test]")],
            &[("apps/b.yaml", "hosts: [b.test]"), ("apps/a.yaml", "hosts: [x.test]")],
            &[("a", "x.test"), ("b", "b.test")],
            &[],
        ),
        (
            "who falls back takes its old hosts back from a newcomer",
            &[("apps/b.yaml", "hosts: [x.test]"), ("apps/a.yaml", "hosts: [a.test]")],
            &[("apps/b.yaml", "hosts: [a.test]"), ("apps/c.yaml", "hosts: [x.test]")],
            &[("a", "a.test"), ("b", "x.test")],
            &[("apps/b.yaml", "belongs to the app 'a'"), ("apps/c.yaml", "belongs to the app 'b'")],
        ),
        (
            "none below another owner's wildcard, at any depth",
            &[("apps/a.yaml", "hosts: ['*.x.test']")],
            &[
                ("apps/b.yaml", "hosts: [a.b.x.test]"),
                ("apps/c.yaml", "owner: a\nhosts: [c.x.test]"),
                ("apps/d.yaml", "hosts: [x.test]"),
            ],
            &[("a", "*.x.test"), ("c", "c.x.test"), ("d", "x.test")],
            &[("apps/b.yaml", "'a.b.x.test' belongs to the app 'a'")],
        ),
        (
            "and no wildcard over another owner's host",
            &[("apps/b.yaml", "hosts: [a.b.x.test]")],
            &[("apps/a.yaml", "hosts: ['*.x.test']"), ("apps/c.yaml", "hosts: ['*.y.test']")],
            &[("b", "a.b.x.test"), ("c", "*.y.test")],
            &[("apps/a.yaml", "'*.x.test' belongs to the app 'b'")],
        ),
    ];
    for (name, before, edit, hosts, mistakes) in cases {
        let mut store = Store::with(before);
        store.edit(edit);
        let wanted: BTreeMap<_, _> = hosts.iter().map(|(id, hosts)| ((*id).to_owned(), (*hosts).to_owned())).collect();
        assert_eq!(store.hosts(), wanted, "{name}");
        assert_eq!(store.catalog.mistakes().len(), mistakes.len(), "{name}: {:?}", store.catalog.mistakes());
        for (file, wanted) in mistakes {
            assert!(store.mistake(file).contains(wanted), "{name}: {}", store.mistake(file));
        }
    }
}

#[test]
fn a_host_that_becomes_free_goes_to_the_app_that_waits_for_it() {
    let mut store = Store::with(&[("apps/a.yaml", "hosts: [x.test]"), ("apps/b.yaml", "hosts: [x.test]")]);
    assert_eq!(store.remove(&["apps/a.yaml"]), ["apps/a", "apps/b"]);
    assert_eq!(store.hosts()["b"], "x.test");
    assert!(store.catalog.mistakes().is_empty());
}

#[test]
fn instances_stand_in_one_place_and_the_newcomer_is_refused() {
    let inline = "hosts: [a.test]\ninstances: {in-app: {address: '10.0.0.1:80'}}\n";
    let plain = "hosts: [a.test]\n";
    let own = r#"{"in-file":{"address":"10.0.0.2:80"}}"#;
    let ids =
        |store: &Store| store.catalog.apps().get("a").unwrap().instances.keys().map(ToString::to_string).collect::<Vec<_>>();

    let mut app_first = Store::with(&[("apps/a.yaml", inline)]);
    app_first.edit(&[("instances/a.json", own)]);
    assert_eq!(ids(&app_first), ["in-app"]);
    assert!(app_first.mistake("instances/a.json").contains("apps/a.yaml lists the instances itself"));
    app_first.edit(&[("apps/a.yaml", plain)]);
    assert_eq!(ids(&app_first), ["in-file"], "one of the two was left");
    assert!(app_first.catalog.mistakes().is_empty());

    let mut file_first = Store::with(&[("apps/a.yaml", plain), ("instances/a.json", own)]);
    file_first.edit(&[("apps/a.yaml", inline)]);
    assert_eq!(ids(&file_first), ["in-file"]);
    assert!(file_first.mistake("apps/a.yaml").contains("apps/a.yaml:2:1: instances: instances/a.json lists them too"));
    file_first.edit(&[("instances/a.json", r#"{"in-file-2":{"address":"10.0.0.3:80"}}"#)]);
    assert_eq!(ids(&file_first), ["in-file-2"], "a refused app file does not hold back instances");
    file_first.remove(&["instances/a.json"]);
    assert_eq!(ids(&file_first), ["in-app"]);

    let both = Store::with(&[("apps/a.yaml", inline), ("instances/a.json", own)]);
    assert_eq!(ids(&both), ["in-app"], "at first sight the app's own file counts");
}

#[test]
fn a_state_ends_at_its_time() {
    let until = r#"{"state":"maintenance","by":"kim","until":"2027-01-15T08:00:10Z"}"#;
    let mut store = Store::with(&[("apps/a.yaml", "hosts: [a.test]"), ("state/a.json", until)]);
    assert_eq!(store.value("a", "/state").as_deref(), Some("\"maintenance\""));
    let end = store.catalog.next_expiry().unwrap();
    assert_eq!(end.to_string(), "2027-01-15T08:00:10Z");
    assert_eq!(store.edit_at(&[], end), ["state/a"]);
    assert_eq!(store.value("a", "/state").as_deref(), Some("\"running\""));
    assert_eq!(store.catalog.next_expiry(), None);
    assert_eq!(store.edit_at(&[], end), [""; 0], "it ends once");
}

#[test]
fn pages_are_named_by_file_or_hash() {
    let hash = "sha256-b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"; // of "foo\n"
    let app =
        format!("hosts: [a.test]\npages: {{app-down: pages/down.html, app-stopped: {hash}, app-maintenance: pages/no.html}}\n");
    let mut store = Store::with(&[("apps/a.yaml", &app), ("pages/down.html", "foo\n")]);
    assert_eq!(store.value("a", "/pages"), Some(format!(r#"{{"app-down":"{hash}","app-stopped":"{hash}"}}"#)));
    assert!(store.mistake("apps/a.yaml").contains("apps/a.yaml:2:"), "{}", store.mistake("apps/a.yaml"));
    assert!(store.mistake("apps/a.yaml").contains("pages.app-maintenance: there is no 'pages/no.html'"));
    assert_eq!(store.catalog.pages().len(), 1);

    store.edit(&[("pages/no.html", "bar\n")]);
    assert!(store.catalog.mistakes().is_empty());
    assert_eq!(store.catalog.pages().len(), 2);
    store.edit(&[("pages/down.html", &"x".repeat(70_000))]);
    assert!(store.mistake("pages/down.html").contains("found 70000 bytes"));
    assert_eq!(store.value("a", "/pages/app-down"), Some(format!("\"{hash}\"")), "the page's last good version goes on");
}

#[test]
fn a_plan_goes_on_until_no_app_is_on_it() {
    let mut store = Store::with(&[("plans/p.yaml", "warm_seconds: 9"), ("apps/a.yaml", "plan: p\nhosts: [a.test]")]);
    assert_eq!(store.remove(&["plans/p.yaml"]), [""; 0]);
    assert_eq!(store.value("a", "/warm_seconds").as_deref(), Some("9"));
    assert!(store.mistake("plans/p.yaml").contains("apps/a.yaml is still on this plan"));
    assert_eq!(store.edit(&[("apps/a.yaml", "hosts: [a.test]")]), ["plans/p", "apps/a"]);
    assert!(store.catalog.mistakes().is_empty());
}

#[test]
fn what_speaks_of_no_app_is_named() {
    let mut store = Store::with(&[("instances/a.json", "{}"), ("state/a.json", r#"{"state":"running"}"#)]);
    assert!(store.mistake("instances/a.json").contains("there is no app 'a'"));
    assert!(store.mistake("state/a.json").contains("there is no app 'a'"));
    store.edit(&[("apps/a.yaml", "hosts: [a.test]"), ("apps/No_Id.yaml", "hosts: [b.test]")]);
    assert!(store.mistake("instances/a.json").is_empty());
    assert!(store.mistake("apps/No_Id.yaml").contains("the file is named 'No_Id'"), "{}", store.mistake("apps/No_Id.yaml"));
}

#[test]
fn an_app_that_did_not_change_stays_the_same_value() {
    let mut store = Store::with(&[("apps/a.yaml", "hosts: [a.test]"), ("apps/b.yaml", "hosts: [b.test]")]);
    let before = store.catalog.apps().clone();
    store.edit(&[("apps/b.yaml", "hosts: [b2.test]"), ("apps/a.yaml", "# said anew\nhosts: [a.test]"), ("defaults.yaml", "")]);
    let is_same = |id| Arc::ptr_eq(before.get(id).unwrap(), store.catalog.apps().get(id).unwrap());
    assert_eq!((is_same("a"), is_same("b")), (true, false));
}

#[test]
fn what_was_good_is_good_after_a_restart() {
    let store = Store::with(&[
        ("apps/a.yaml", "hosts: [a.test]"),
        ("apps/b.yaml", "hosts: [x.test]"),
        ("instances/b.json", r#"{"b-1":{"address":"10.0.0.2:80"}}"#),
    ]);
    let again = store.restarted(&[
        ("apps/a.yaml", "hosts: [x.test]"),
        ("apps/b.yaml", "hosts: ["),
        ("instances/b.json", "{"),
        ("apps/c.yaml", "hosts: [c.test]"),
    ]);
    assert_eq!(again.hosts(), [("a", "a.test"), ("b", "x.test"), ("c", "c.test")].map(|(a, b)| (a.into(), b.into())).into());
    assert_eq!(again.catalog.apps().get("b").unwrap().instances.len(), 1);
    assert_eq!(again.catalog.mistakes().len(), 3, "{:?}", again.catalog.mistakes());
    let gone = store.restarted(&[("apps/a.yaml", "hosts: [a.test]")]);
    assert_eq!(gone.hosts().into_keys().collect::<Vec<_>>(), ["a"], "what was removed meanwhile is removed");
}

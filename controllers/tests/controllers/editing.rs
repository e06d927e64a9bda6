//! People edit the store with whatever they have, and make mistakes.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::edge::{Edge, backend, page};
use crate::program::wait_until;

fn app(host: &str, warm_seconds: u32, address: std::net::SocketAddr) -> String {
    format!("# a comment\nhosts: [{host}]\nwarm_seconds: {warm_seconds}\ninstances:\n  a-1: {{address: \"{address}\"}}\n")
}

#[test]
fn a_file_that_is_saved_is_live_and_one_that_is_broken_keeps_its_last_good_version() {
    let address = backend("hello");
    let edge = Edge::running(&[("apps/a.yaml", &app("a.test", 1, address))]);
    assert!(edge.page("a.test").text.ends_with("hello"));

    edge.write("apps/a.yaml", &app("a.test", 2, address));
    edge.wait_for_app("a", "/warm_seconds", 2);

    // Half-written, mistyped, empty: shown where the operator looks, with line and caret.
    edge.write("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: soon\ninstances: {}\n");
    edge.wait_for_mistake("apps/a.yaml:2:15: warm_seconds: found 'soon'");
    let shown = edge.karman(&["status"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("    2 | warm_seconds: soon\n      |               ^"), "{}", shown.stdout);
    edge.write("apps/a.yaml", "hosts: [a.te");
    edge.wait_for_mistake("this is not YAML");
    edge.write("apps/a.yaml", "");
    edge.wait_for_mistake("the field 'hosts' is required");
    assert!(edge.page("a.test").text.ends_with("hello"), "the last good version is served");
    assert_eq!(edge.app("a", "/warm_seconds"), 2);

    // Others go on meanwhile, and so do the instances of the same app.
    edge.write("apps/b.yaml", &app("b.test", 1, address));
    edge.wait_for_app("b", "/warm_seconds", 1);

    edge.write("apps/a.yaml", &app("a.test", 3, address));
    edge.wait_for_app("a", "/warm_seconds", 3);
    edge.wait_for_no_mistake();

    edge.write("apps/a.json", r#"{"hosts":["a.test"],"instances":{}}"#);
    edge.wait_for_mistake("apps/a.yaml: apps/a.json stands there too; keep one of the two");
    assert!(edge.page("a.test").text.ends_with("hello"));
    edge.remove("apps/a.yaml");
    edge.wait_for_app("a", "/instances", json!({}));
    edge.wait_for_no_mistake();
    assert_eq!(edge.page("a.test").status, 503);

    edge.remove("apps/a.json");
    wait_until("the app is gone", || edge.apps() == ["b"]);
    assert_eq!(edge.page("a.test").status, 404);
    edge.write("apps/c.yml", "hosts: [c.test]");
    edge.wait_for_mistake("rename it to apps/c.yaml");
}

#[test]
fn no_way_of_saving_a_file_takes_the_app_away_for_a_moment() {
    let address = backend("hello");
    let edge = Edge::running(&[("apps/a.yaml", &app("a.test", 1, address))]);
    let listens_on = edge.listens_on();
    let stop = Arc::new(AtomicBool::new(false));
    let browser = thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut pages = 0;
            while !stop.load(Ordering::Relaxed) {
                let page = page(listens_on, "a.test").unwrap();
                assert_eq!(page.status, 200, "after {pages} pages: {}", page.text);
                pages += 1;
            }
            pages
        }
    });
    let (path, aside) = (edge.path("apps/a.yaml"), edge.path("apps/a.yaml~"));
    for round in 0..8_u32 {
        let text = app("a.test", round + 2, address);
        match round % 4 {
            // In place and in pieces, as `nano` and `>` do.
            0 => {
                let mut file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
                for piece in text.as_bytes().chunks(7) {
                    file.write_all(piece).unwrap();
                    file.sync_data().unwrap();
                }
            }
            // The old file moved aside, a new one written, as `vim` does.
            1 => {
                fs::rename(&path, &aside).unwrap();
                thread::yield_now();
                fs::write(&path, &text).unwrap();
                fs::remove_file(&aside).unwrap();
            }
            // A new file moved over the old one, as `sed -i` and deployment tools do.
            2 => {
                let new = edge.path("apps/.a.yaml.swp");
                fs::write(&new, &text).unwrap();
                fs::rename(&new, &path).unwrap();
            }
            // Removed and written, as some tools do that know no better.
            _ => {
                fs::remove_file(&path).unwrap();
                fs::write(&path, &text).unwrap();
            }
        }
        edge.wait_for_app("a", "/warm_seconds", round + 2);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(browser.join().unwrap() > 0);
    assert_eq!(edge.report()["mistakes"], json!([]));
}

#[test]
fn the_last_good_version_outlives_a_restart_of_the_publisher() {
    let address = backend("hello");
    let mut edge = Edge::running(&[
        ("apps/a.yaml", &app("a.test", 5, address)),
        ("apps/b.yaml", &app("b.test", 6, address)),
        ("defaults.yaml", "limits: {queue: 7}\n"),
    ]);
    edge.write("apps/a.yaml", "hosts: [");
    edge.wait_for_mistake("apps/a.yaml");
    edge.kill_publisher();
    // Broken while nobody looked.
    edge.write("apps/b.yaml", "hosts: nowhere");
    edge.write("defaults.yaml", "limits: 7");
    edge.write("apps/c.yaml", &app("c.test", 8, address));
    // And the proxy has lost everything: all that it gets comes from the store.
    edge.kill_proxy();
    fs::remove_dir_all(edge.dir().join("state")).unwrap();
    edge.start_proxy();
    edge.start_publisher();
    edge.wait_for_app("c", "/warm_seconds", 8);
    for (id, warm_seconds) in [("a", 5), ("b", 6), ("c", 8)] {
        assert_eq!(edge.app(id, "/warm_seconds"), warm_seconds, "{id}");
        assert_eq!(edge.app(id, "/limits/queue"), 7, "{id}");
    }
    assert!(edge.page("a.test").text.ends_with("hello"));
    // It writes what it found after it has published.
    wait_until("the publisher tells of all three", || edge.report()["mistakes"].as_array().map(Vec::len) == Some(3));
}

#[test]
fn a_folder_that_is_gone_takes_nothing_with_it() {
    let address = backend("hello");
    let mut edge = Edge::running(&[("apps/a.yaml", &app("a.test", 1, address))]);
    fs::rename(edge.path("apps"), edge.path("away")).unwrap();
    edge.write("defaults.yaml", "limits: {queue: 7}\n");
    edge.wait_for_app("a", "/limits/queue", 7);
    edge.publisher().wait_for("a folder of the store");
    assert_eq!(edge.page("a.test").status, 200);
    fs::rename(edge.path("away"), edge.path("apps")).unwrap();
    edge.write("apps/a.yaml", &app("a.test", 2, address));
    edge.wait_for_app("a", "/warm_seconds", 2);
}

#[test]
fn what_is_removed_while_its_folder_is_away_goes_when_that_is_back() {
    let address = backend("hello");
    let mut edge = Edge::running(&[("apps/a.yaml", &app("a.test", 1, address)), ("apps/b.yaml", &app("b.test", 1, address))]);
    fs::rename(edge.path("apps"), edge.path("away")).unwrap();
    edge.publisher().wait_for("a folder of the store");
    fs::remove_file(edge.path("away/b.yaml")).unwrap();
    assert_eq!(edge.apps(), ["a", "b"]);
    fs::rename(edge.path("away"), edge.path("apps")).unwrap();
    wait_until("what was removed is gone", || edge.apps() == ["a"]);
}

#[test]
fn a_folder_that_was_lost_while_nobody_looked_takes_nothing_with_it_either() {
    let mut edge = Edge::running(&[("apps/a.yaml", &app("a.test", 1, backend("hello")))]);
    edge.kill_publisher();
    fs::rename(edge.path("apps"), edge.path("away")).unwrap();
    edge.start_publisher();
    edge.publisher().wait_for("apps: the folder is gone");
    assert_eq!((edge.apps(), edge.page("a.test").status), (vec!["a".to_owned()], 200));
    // Somebody means it.
    fs::create_dir(edge.path("apps")).unwrap();
    edge.start_publisher();
    wait_until("all of it is gone", || edge.apps().is_empty());
}

#[test]
fn a_page_of_an_owner_is_there_before_the_app_that_names_it() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\ninstances: {}\n")]);
    edge.write("apps/a.yaml", "hosts: [a.test]\ninstances: {}\npages: {app-down: pages/down.html}\n");
    edge.wait_for_mistake("there is no 'pages/down.html'");
    assert_eq!(edge.page("a.test").status, 503);
    edge.write("pages/down.html", "<!doctype html><title>x</title>we of {{app}} are away");
    wait_until("the owner's page is shown", || edge.page("a.test").text.contains("we of a are away"));
    edge.wait_for_no_mistake();
    edge.write("pages/down.html", "<!doctype html><title>x</title>we of {{app}} are out");
    wait_until("the changed page is shown", || edge.page("a.test").text.contains("we of a are out"));
    assert_eq!(edge.app("a", "/state"), Value::from("running"));
}

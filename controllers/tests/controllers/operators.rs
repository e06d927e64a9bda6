//! Operators change the store by verbs: looked through before, known afterwards, and undone where need be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::edge::Edge;
use crate::etcd::Etcd;
use crate::program::{KARMAN, Program, karman, wait_until};

#[test]
fn a_file_becomes_an_app_unless_anything_is_wrong_with_it() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    fs::write(edge.dir().join("b.yaml"), "# mine\nhosts: [b.test]\nwarm_seconds: 3\n").unwrap();
    let dry = edge.karman(&["apps", "put", "-f", "b.yaml", "--dry-run"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(dry.stdout.contains("+   \"warm_seconds\": 3") && dry.stdout.contains("dry run"), "{}", dry.stdout);
    assert!(!edge.path("apps/b.yaml").exists());

    let put = edge.karman(&["apps", "put", "-f", "b.yaml", "--why", "a new shop"]);
    assert_eq!(put.code, 0, "{put:?}");
    edge.wait_for_app("b", "/warm_seconds", 3);
    assert!(fs::read_to_string(edge.path("apps/b.yaml")).unwrap().starts_with("# mine"), "comments are kept");

    // Every mistake at once, those that show only beside other apps too, and nothing is written.
    fs::write(edge.dir().join("c.yaml"), "hosts: [a.test, 'not a host']\nwarm_seconds: soon\n").unwrap();
    let refused = edge.karman(&["apps", "put", "-f", "c.yaml"]);
    assert_eq!(refused.code, 65, "{refused:?}");
    assert!(refused.stderr.contains("hosts[1]") && refused.stderr.contains("warm_seconds: found 'soon'"), "{}", refused.stderr);
    fs::write(edge.dir().join("c.yaml"), "hosts: [a.test]\n").unwrap();
    let taken = edge.karman(&["apps", "put", "-f", "c.yaml"]);
    assert_eq!(taken.code, 65, "{taken:?}");
    assert!(taken.stderr.contains("a.test"), "{}", taken.stderr);
    assert!(!edge.path("apps/c.yaml").exists());
}

#[test]
fn every_change_is_known_by_whom_and_why_and_can_be_undone() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: 1\n")]);
    // By hand, by a verb, by hand again.
    edge.write("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: 2\n");
    edge.wait_for_app("a", "/warm_seconds", 2);
    fs::write(edge.dir().join("a.yaml"), "hosts: [a.test]\nwarm_seconds: 3\n").unwrap();
    assert_eq!(edge.karman(&["apps", "put", "-f", "a.yaml", "--why", "warmer"]).code, 0);
    edge.wait_for_app("a", "/warm_seconds", 3);
    edge.write("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: 4\n");
    edge.wait_for_app("a", "/warm_seconds", 4);

    let history = || edge.karman(&["apps", "history", "a", "--json"]).json();
    wait_until("the edit is in the history", || history().as_array().map_or(0, Vec::len) == 4);
    let whys: Vec<_> = history().as_array().unwrap().iter().map(|change| change["why"].clone()).collect();
    assert_eq!(whys, ["as it was first seen", "edited by hand", "warmer", "edited by hand"]);
    assert!(history()[3]["by"].as_str().is_some_and(|by| !by.is_empty()));

    let diff = edge.karman(&["apps", "diff", "a", "2", "3"]).stdout;
    assert_eq!(diff, "  hosts: [a.test]\n- warm_seconds: 2\n+ warm_seconds: 3\n");
    assert_eq!(edge.karman(&["apps", "rollback", "a", "9"]).code, 64);
    let back = edge.karman(&["apps", "rollback", "a", "2"]);
    assert_eq!(back.code, 0, "{back:?}");
    edge.wait_for_app("a", "/warm_seconds", 2);
    assert_eq!(history()[4]["why"], "rolled back to change 2");
    assert!(edge.karman(&["apps", "history", "a"]).stdout.contains("rolled back to change 2"));

    let gone = edge.karman(&["apps", "rm", "a", "--why", "moved away"]);
    assert_eq!(gone.code, 0, "{gone:?}");
    wait_until("the app is gone", || edge.apps().is_empty());
    assert_eq!(edge.karman(&["apps", "rm", "a"]).code, 64);
    assert_eq!(edge.karman(&["apps", "rollback", "a", "3"]).code, 0);
    edge.wait_for_app("a", "/warm_seconds", 3);
}

#[test]
fn an_app_is_edited_in_an_editor_and_what_is_wrong_is_not_thrown_away() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: 1\n")]);
    let edit = |script: &str| {
        let output = std::process::Command::new(KARMAN)
            .args(["apps", "edit", "a"])
            .current_dir(edge.dir())
            .env("VISUAL", format!("sed -i {script}"))
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(edit("s/warm_seconds:.*/warm_seconds:\\ 7/").0, Some(0));
    edge.wait_for_app("a", "/warm_seconds", 7);
    let (code, said) = edit("s/warm_seconds:.*/warm_seconds:\\ soon/");
    assert_eq!(code, Some(65), "{said}");
    let kept = said.split("your text is kept in ").nth(1).unwrap().lines().next().unwrap();
    assert!(fs::read_to_string(kept).unwrap().contains("soon"));
    fs::remove_dir_all(Path::new(kept).parent().unwrap()).unwrap();
    assert_eq!(edge.app("a", "/warm_seconds"), 7);
}

#[test]
fn an_edge_that_is_gone_for_good_is_waited_for_until_somebody_forgets_it() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    // As its publisher left it.
    let mut report = edge.report();
    report["at_socket"] = edge.dir().join("gone.sock").display().to_string().into();
    report["edge"]["name"] = "edge-2".into();
    edge.write("status/publish/far.json", &report.to_string());
    wait_until("the other edge is known", || edge.path("edges/edge-1.json").exists());
    let mut known: Value = serde_json::from_str(&fs::read_to_string(edge.path("edges/edge-1.json")).unwrap()).unwrap();
    known["alive_until"] = "2026-01-01T00:00:00Z".into();
    edge.write("edges/edge-2.json", &known.to_string());

    let waited = edge.karman(&["maintenance", "a", "on"]);
    assert!(waited.code == 69 && waited.stderr.contains("the edge edge-2 does not answer"), "{waited:?}");
    assert!(waited.stderr.contains("'karman edge forget'"), "{waited:?}");
    let status = edge.karman(&["status"]);
    assert!(status.stdout.contains("edge-2 in here") && status.stdout.contains("not heard of for"), "{status:?}");

    let forget = |name: &str| edge.karman(&["edge", "forget", name]);
    let alive = forget("edge-1");
    assert!(alive.code == 75 && alive.stderr.contains("heard of just now"), "{alive:?}");
    assert!(edge.path("edges/edge-1.json").exists());
    assert_eq!(forget("edge-9").code, 64);
    let forgotten = edge.karman(&["edge", "forget", "edge-2", "--json"]);
    assert_eq!(forgotten.code, 0, "{forgotten:?}");
    assert_eq!(forgotten.json()["forgotten"], json!(["edges/edge-2", "status/publish/far"]));
    assert!(!edge.path("status/publish/far.json").exists() && !edge.path("edges/edge-2.json").exists());
    assert_eq!(forget("edge-2").code, 64);
    let open = edge.karman(&["maintenance", "a", "off"]);
    assert_eq!(open.code, 0, "{open:?}");
}

#[test]
fn a_dry_run_counts_with_the_last_good_version_of_what_is_broken() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    edge.write("apps/a.yaml", "hosts: [a.test]\nnonsense: 1\n");
    edge.wait_for_mistake("nonsense");
    fs::write(edge.dir().join("a.yaml"), "hosts: [a.test]\n").unwrap();
    let mended = edge.karman(&["apps", "put", "-f", "a.yaml", "--dry-run"]);
    assert!(mended.code == 0 && mended.stdout.starts_with("no app is served otherwise"), "{mended:?}");
    fs::write(edge.dir().join("b.yaml"), "hosts: [a.test]\n").unwrap();
    let taken = edge.karman(&["apps", "put", "-f", "b.yaml", "--dry-run"]);
    assert!(taken.code == 65 && taken.stderr.contains("a.test"), "the host is served still: {taken:?}");
}

#[test]
fn a_network_is_kept_out_of_one_app_or_of_all() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n"), ("apps/b.yaml", "hosts: [b.test]\n")]);
    let everywhere = edge.karman(&["block", "203.0.113.7/24", "--why", "a scraper"]);
    assert_eq!(everywhere.code, 0, "{everywhere:?}");
    let one = edge.karman(&["block", "2001:db8::/32", "--app", "b", "--for", "1h", "--why", "a flood"]);
    assert_eq!(one.code, 0, "{one:?}");
    edge.wait_for_app("a", "/deny", json!([{"net": "203.0.113.0/24", "why": "a scraper"}]));
    wait_until("b has both", || edge.app("b", "/deny").as_array().map_or(0, Vec::len) == 2);

    let blocks = edge.karman(&["blocks"]).stdout;
    assert!(blocks.contains("203.0.113.0/24  all apps  ever") && blocks.contains("2001:db8::/32   b         59 min"), "{blocks}");
    assert_eq!(edge.karman(&["blocks", "--json"]).json().as_array().unwrap().len(), 2);
    assert_eq!(edge.karman(&["unblock", "2001:db8::/32"]).code, 64, "it is blocked for b, not for all");
    assert_eq!(edge.karman(&["unblock", "2001:db8::/32", "--app", "b"]).code, 0);
    assert_eq!(edge.karman(&["unblock", "203.0.113.0/24"]).code, 0);
    for app in ["a", "b"] {
        edge.wait_for_app(app, "/deny", Value::Null);
    }
    assert_eq!(edge.karman(&["block", "10.0.0.0/8", "--app", "nobody", "--why", "x"]).code, 64);
    assert_eq!(edge.karman(&["block", "somewhere", "--why", "x"]).code, 64);
}

#[test]
fn a_backup_fills_an_empty_store_of_the_other_kind() {
    let edge = Edge::running(&[
        ("apps/a.yaml", "# a comment\nhosts: [a.test]\nwarm_seconds: 1\n"),
        ("defaults.yaml", "sockjs: {prefix: /s}\n"),
        ("keys/cookie.json", "{\"keys\":[]}\n"),
        ("pages/down.html", "<!doctype html>down"),
    ]);
    edge.write("apps/a.yaml", "# a comment\nhosts: [a.test]\nwarm_seconds: 2\n");
    edge.wait_for_app("a", "/warm_seconds", 2);
    wait_until("there is a history", || edge.karman(&["apps", "history", "a"]).code == 0);
    assert_eq!(edge.karman(&["backup", "backup.json"]).code, 0);
    assert_eq!(fs::metadata(edge.dir().join("backup.json")).unwrap().permissions().mode() & 0o777, 0o600);

    let etcd = Etcd::start();
    let url = etcd.url();
    let restored = edge.karman(&["restore", "backup.json", "--store", &url]);
    assert_eq!(restored.code, 0, "{restored:?}");
    assert_eq!(edge.karman(&["restore", "backup.json", "--store", &url]).code, 75, "only an empty store is filled");
    assert_eq!(
        edge.karman(&["apps", "history", "a", "--json", "--store", &url]).json(),
        edge.karman(&["apps", "history", "a", "--json"]).json()
    );
    // And back again, into an empty directory: nothing was lost on the way.
    assert_eq!(edge.karman(&["backup", "second.json", "--store", &url]).code, 0);
    fs::create_dir(edge.dir().join("again")).unwrap();
    assert_eq!(edge.karman(&["restore", "second.json", "--store", "again"]).code, 0);
    let text = |file: &str| -> Value { serde_json::from_str(&fs::read_to_string(edge.dir().join(file)).unwrap()).unwrap() };
    assert_eq!(text("backup.json")["entries"], text("second.json")["entries"]);
    assert_eq!(
        fs::read_to_string(edge.dir().join("again/apps/a.yaml")).unwrap(),
        "# a comment\nhosts: [a.test]\nwarm_seconds: 2\n"
    );
    assert_eq!(fs::metadata(edge.dir().join("again/keys/cookie.json")).unwrap().permissions().mode() & 0o777, 0o600);

    // The edge follows the restored store, whose epoch is later.
    let before = edge.stamp("apps");
    let mut edge = edge;
    edge.start_publisher_on(&url);
    fs::write(edge.dir().join("a.yaml"), "hosts: [a.test]\nwarm_seconds: 3\n").unwrap();
    assert_eq!(edge.karman(&["apps", "put", "-f", "a.yaml", "--store", &url]).code, 0);
    edge.wait_for_app("a", "/warm_seconds", 3);
    assert!(edge.stamp("apps").0 > before.0);
}

#[test]
fn two_edges_are_compared_host_by_host() {
    let old =
        Edge::running(&[("apps/a.yaml", "hosts: [a.test, www.a.test]\n"), ("apps/b.yaml", "hosts: [b.test]\nwarm_seconds: 1\n")]);
    let new = Edge::running(&[
        ("apps/a.yaml", "hosts: [a.test, www.a.test]\nnote: {by: somebody}\n"),
        ("apps/b.yaml", "hosts: [b.test]\nwarm_seconds: 1\n"),
    ]);
    let compare = || {
        let sockets = [old.socket().display().to_string(), new.socket().display().to_string()];
        karman(old.dir(), &["apps", "compare", &sockets[0], &sockets[1], "--json"])
    };
    assert_eq!((compare().code, compare().json()), (0, json!([])), "who changed an app last is no difference");
    new.write("apps/b.yaml", "hosts: [c.test, b.test]\nwarm_seconds: 2\n");
    new.wait_for_app("b", "/warm_seconds", 2);
    let differs = compare();
    assert_eq!(differs.code, 65);
    assert_eq!(
        differs.json(),
        json!([
            {"host": "b.test", "old": "b", "new": "b", "fields": ["hosts", "warm_seconds"]},
            {"host": "c.test", "old": null, "new": "b"},
        ])
    );
}

#[test]
fn what_changes_is_shown_as_it_happens() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let mut watch = Program::start("watch", Path::new(KARMAN), edge.dir(), ["watch"]);
    fs::write(edge.dir().join("a.yaml"), "hosts: [a.test]\nwarm_seconds: 3\n").unwrap();
    // What happens before it looks is not shown: it is shown again until it does.
    wait_until("a change is shown", || {
        let seconds = fastrand::u32(1..100);
        fs::write(edge.dir().join("a.yaml"), format!("hosts: [a.test]\nwarm_seconds: {seconds}\n")).unwrap();
        assert_eq!(edge.karman(&["apps", "put", "-f", "a.yaml", "--why", "it is cold"]).code, 0);
        watch.said().contains("apps/a changed by") && watch.said().contains(": it is cold")
    });
    watch.wait_for("document-applied");
}

//! The operators' verbs, for people and for scripts.

use std::io::{Read as _, Write as _};
use std::path::Path;

use karman_faults::Scripted;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::edge::Edge;
use crate::program::{KARMAN, Program, karman, wait_until};

const FILES: [(&str, &str); 4] = [
    ("defaults.yaml", "limits:\n  queue: 7\n"),
    ("plans/small.yaml", "warm_seconds: 9\n"),
    ("apps/a.yaml", "plan: small\nhosts: [a.test, '*.a.test']\n"),
    ("instances/a.json", "{\n  \"a-1\": {\"address\": \"127.0.0.1:9\", \"release\": 3}\n}\n"),
];

#[test]
fn every_verb_says_when_nothing_answers_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("data/apps")).unwrap();
    std::fs::write(dir.path().join("data/apps/a.yaml"), "hosts: [a.test]\n").unwrap();
    for verb in
        ["status", "apps", "app a", "top", "maintenance a on", "maintenance a off", "events", "events --follow", "publish --once"]
    {
        for json in ["", " --json"].into_iter().filter(|_| !verb.starts_with("publish")).chain([""]) {
            let line = format!("{verb}{json}");
            let ran = karman(dir.path(), &line.split_whitespace().collect::<Vec<_>>());
            assert_eq!(ran.code, 69, "{line}: {ran:?}");
            for words in ["nothing answers at run/admin.sock", "'karman up'", "--socket PATH"] {
                assert!(ran.stderr.contains(words), "{line}: {ran:?}");
            }
        }
    }
}

#[test]
fn a_command_that_is_not_understood_exits_64() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        "",
        "fly",
        "app",
        "app Not_An_Id",
        "maintenance a perhaps",
        "maintenance a on --until yesterday",
        "maintenance a on --until 2020-01-01T00:00:00Z",
    ] {
        let ran = karman(dir.path(), &line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(ran.code, 64, "{line}: {ran:?}");
    }
    assert_eq!(karman(dir.path(), &["--help"]).code, 0);
    assert_eq!(karman(dir.path(), &["--version"]).code, 0);
}

#[test]
fn status_and_apps_show_what_is_live() {
    let edge = Edge::running(&FILES);
    wait_until("it is confirmed", || edge.karman(&["status"]).stdout.contains(", confirmed "));
    let status = edge.karman(&["status"]).stdout;
    for words in ["edge-1 in here", "0 tunnels", "http 127.0.0.1:", "generation 1, applied", "generation 1: all is live"] {
        assert!(status.contains(words), "'{words}' in {status}");
    }
    let json = edge.karman(&["status", "--json"]).json();
    assert_eq!(json["proxy"]["documents"]["apps"]["generation"], 1);
    let published = json["publishers"]["edges"].as_object().unwrap().values().next().unwrap();
    assert_eq!(published["report"]["up_to_date"], true);
    assert_eq!(json["edges"]["edge-1"]["contract"], 1);

    let apps = edge.karman(&["apps"]).stdout;
    assert_eq!(apps, "APP  STATE    OWNER  INSTANCES  HOSTS\na    running  a      1 ready    a.test *.a.test\n");
    assert_eq!(edge.karman(&["apps", "--json"]).json()["apps"]["a"]["limits"]["queue"], 7);

    let app = edge.karman(&["app", "a"]).stdout;
    assert!(app.contains("a-1       127.0.0.1:9  3        ready"), "{app}");
    assert_eq!(edge.karman(&["app", "a", "--json"]).json()["instances"]["a-1"]["tunnels"], 0);
    let unknown = edge.karman(&["app", "b"]);
    assert_eq!(unknown.code, 65);
    assert!(unknown.stderr.contains("the proxy serves no app 'b'"), "{unknown:?}");
}

#[test]
fn effective_names_file_and_line_without_anything_running() {
    let edge = Edge::with(&FILES);
    edge.write("state/a.json", "{\"state\": \"maintenance\",\n \"by\": \"kim\"}\n");
    edge.write("draining/a.json", "{\n \"a-1\": {\"by\": \"kim\"}}\n");
    let from = |path: &str| {
        let values = edge.karman(&["app", "a", "--effective", "--json"]).json()["values"].clone();
        let found = values.as_array().unwrap().iter().find(|value| value["path"] == path).cloned();
        found.map(|value| (value["value"].clone(), value["from"].as_str().unwrap().to_owned()))
    };
    for (path, value, file) in [
        ("limits.queue", json!(7), "defaults.yaml:2"),
        ("warm_seconds", json!(9), "plans/small.yaml:1"),
        ("hosts", json!(["a.test", "*.a.test"]), "apps/a.yaml:2"),
        ("instances.a-1.release", json!(3), "instances/a.json:2"),
        ("instances.a-1.state", json!("draining"), "draining/a.json:2"),
        ("state", json!("maintenance"), "state/a.json:1"),
        ("note.by", json!("kim"), "state/a.json:2"),
        ("limits.sockets", json!(20_000), "built in"),
    ] {
        assert_eq!(from(path), Some((value, file.to_owned())), "{path}");
    }
    let shown = edge.karman(&["app", "a", "--effective"]).stdout;
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["warm_seconds", "9", "plans/small.yaml:1"])), "{shown}");
    assert_eq!(edge.karman(&["app", "nobody", "--effective"]).code, 65);
    assert!(!edge.path(".karman").exists(), "looking changes nothing");
}

#[test]
fn maintenance_closes_an_app_and_opens_it_again() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n"), ("apps/b.yaml", "hosts: [b.test]\nstate: maintenance\n")]);
    let on = edge.karman(&["maintenance", "a", "on", "--why", "moving house"]);
    assert_eq!((on.code, on.stdout.as_str()), (0, "a is closed for maintenance\n"), "{on:?}");
    assert_eq!(edge.page("a.test").status, 503, "when the verb ends it is live");
    assert_eq!(edge.app("a", "/note/why"), "moving house");
    let off = edge.karman(&["maintenance", "a", "off", "--json"]);
    assert_eq!(off.json(), json!({"app": "a", "maintenance": false, "live": true}));
    assert_eq!(edge.app("a", "/state"), "running");

    assert_eq!(edge.karman(&["maintenance", "a", "on", "--until", "1s"]).code, 0);
    edge.wait_for_app("a", "/state", "running");

    let own = edge.karman(&["maintenance", "b", "off"]);
    assert!(own.code == 64 && own.stderr.contains("apps/b.yaml:2 says maintenance itself"), "{own:?}");
    assert_eq!(edge.karman(&["maintenance", "a", "off"]).code, 0, "what is over is cleared away");
    edge.write("state/a.yaml", "state: suspended\nby: billing\n");
    edge.wait_for_app("a", "/state", "suspended");
    let person = edge.karman(&["maintenance", "a", "on"]);
    assert!(person.code == 64 && person.stderr.contains("state/a.yaml was written by a person"), "{person:?}");
    edge.remove("state/a.yaml");
    edge.write("state/a.json", r#"{"state":"suspended","by":"billing"}"#);
    let suspended = edge.karman(&["maintenance", "a", "off"]);
    assert!(suspended.code == 64 && suspended.stderr.contains("a is suspended by billing"), "{suspended:?}");
    let nobody = edge.karman(&["maintenance", "nobody", "on"]);
    assert!(nobody.code == 64 && nobody.stderr.contains("no apps/nobody.yaml"), "{nobody:?}");
}

#[test]
fn an_instance_is_drained_until_no_edge_holds_anything_of_it_and_can_be_taken_back() {
    // An app that upgrades, and keeps its sockets as long as their clients do.
    let app = Scripted::start(|_, mut stream, seen| async move {
        seen.read(&mut stream).await;
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
        let _ = stream.write_all(answer).await;
        std::future::pending().await
    });
    let address = app.address;
    let own =
        format!("hosts: [a.test]\nwarm_seconds: 0\ndrain: {{window_seconds: 2}}\ninstances:\n  a-1: {{address: '{address}'}}\n");
    let edge =
        Edge::running(&[("apps/a.yaml", &own), ("apps/b.yaml", "hosts: [b.test]\ninstances: {b-1: {address: '127.0.0.1:9'}}\n")]);
    let http = edge.listens_on();
    let mut socket = std::net::TcpStream::connect(http).unwrap();
    socket
        .write_all(
            b"GET /websocket HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let mut head = [0; 12];
    socket.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");

    // From another folder than the publisher's.
    let (store, elsewhere) = (edge.dir().join("data"), tempfile::tempdir().unwrap());
    let arguments = ["drain", "a-1", "--why", "a new machine", "--store", store.to_str().unwrap()];
    let begun = karman(elsewhere.path(), &[&arguments[..], &["--socket", edge.socket().to_str().unwrap()]].concat());
    assert_eq!(
        (begun.code, begun.stdout.as_str()),
        (0, "a-1 of a is being drained; sockets and requests left: 1\n"),
        "{begun:?}"
    );
    assert_eq!(edge.app("a", "/instances/a-1/state"), "draining");
    let resumed = edge.karman(&["drain", "a-1", "--resume"]);
    assert_eq!((resumed.code, resumed.stdout.as_str()), (0, "a-1 of a takes clients again\n"), "{resumed:?}");
    assert!(!edge.path("draining/a.json").exists());

    // The client leaves when it is told to.
    let client = std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = socket.read_to_end(&mut said);
        said
    });
    let drained = edge.karman(&["drain", "a-1", "--wait", "--json"]);
    assert_eq!(drained.code, 0, "{drained:?}");
    let answer = drained.json();
    assert_eq!((&answer["drained"], &answer["edges"]["edge-1"]["tunnels"]), (&true.into(), &0.into()), "{answer}");
    assert!(client.join().unwrap().ends_with(&[0x88, 2, 3, 0xe9]), "the client got a close frame");

    let nobody = edge.karman(&["drain", "c-1"]);
    assert!(nobody.code == 64 && nobody.stderr.contains("there is no instance 'c-1' in the store"), "{nobody:?}");
}

#[test]
fn a_drain_names_the_edge_that_does_not_answer() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\ninstances: {a-1: {address: '127.0.0.1:9'}}\n")]);
    edge.kill_proxy();
    let drain = edge.karman(&["drain", "a-1", "--wait"]);
    // By where it is reached, once its publisher has noticed that it is gone.
    let socket = edge.socket().display().to_string();
    let named = ["edge-1", &socket].iter().any(|name| drain.stderr.contains(&format!("the edge {name} does not answer")));
    assert!(drain.code == 69 && named, "{drain:?}");
}

#[test]
fn a_drain_does_not_take_the_edge_at_its_own_socket_for_another() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\ninstances: {a-1: {address: '127.0.0.1:9'}}\n")]);
    // What the publisher of another machine says, whose proxy has a socket of the same path.
    let mut report = edge.report();
    report["edge"]["name"] = "edge-2".into();
    edge.write("status/publish/machine-2.json", &report.to_string());
    let begun = edge.karman(&["drain", "a-1", "--json"]);
    assert_eq!((begun.code, &begun.json()["drained"]), (0, &false.into()), "{begun:?}");
    assert!(begun.stderr.contains("not reachable from here") && begun.stderr.contains("edge-2"), "{begun:?}");
    let drain = edge.karman(&["drain", "a-1", "--wait"]);
    assert!(drain.code == 69 && drain.stderr.contains("the edge edge-2"), "{drain:?}");
    assert!(drain.stderr.contains("not reachable from here"), "{drain:?}");
}

#[test]
fn maintenance_is_not_said_to_be_so_before_all_edges_do_it() {
    let mut first = Edge::with(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let mut second = Edge::with(&[]);
    second.rename("edge-2");
    first.start_proxy();
    second.start_proxy();
    first.start_publisher_to(&[first.socket(), second.socket()]);
    wait_until("both serve it", || [&first, &second].iter().all(|edge| edge.apps() == ["a"]));
    wait_until("both are reported", || first.karman(&["status"]).stdout.contains("edge-2 in here"));
    let on = first.karman(&["maintenance", "a", "on"]);
    assert_eq!(on.code, 0, "{on:?}");
    assert_eq!((first.page("a.test").status, second.page("a.test").status), (503, 503));
    second.kill_proxy();
    let off = first.karman(&["maintenance", "a", "off"]);
    assert!(off.code == 69 && off.stderr.contains("written to the store, but the edge "), "{off:?}");
    wait_until("the others do it", || first.page("a.test").status != 503 || first.app("a", "/state") == "running");
}

#[test]
fn a_change_that_nobody_publishes_is_said_to_be_written_and_no_more() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let block = ["block", "203.0.113.0/24", "--why", "a scraper"];
    let written = edge.karman(&block);
    assert!(written.code == 0 && written.stdout.contains("written to the store; where it is not live in 5 s"), "{written:?}");
    edge.kill_publisher();
    for arguments in [&block[..], &["unblock", "203.0.113.0/24"], &["apps", "rm", "a"]] {
        let written = edge.karman(arguments);
        assert!(written.code == 0 && written.stdout.contains("but no publisher runs"), "{arguments:?}: {written:?}");
    }
}

#[test]
fn maintenance_without_a_publisher_says_so() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    edge.kill_publisher();
    let on = edge.karman(&["maintenance", "a", "on"]);
    assert_eq!(on.code, 69, "{on:?}");
    assert!(on.stderr.contains("no publisher runs"), "{on:?}");
    assert!(edge.karman(&["status"]).stdout.contains("none runs on data"));
}

#[test]
fn events_are_shown_as_they_are_kept_and_as_they_come() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let kept = edge.karman(&["events", "--json"]);
    let kept: Vec<Value> = kept.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(kept.iter().any(|event| event["event"] == "document-applied"), "{kept:?}");
    let last = kept.last().unwrap()["id"].to_string();
    assert_eq!(edge.karman(&["events", "--since", &last]).stdout, "");

    let mut follower = Program::start("events", Path::new(KARMAN), edge.dir(), ["events", "--follow", "--since", &last]);
    edge.write("apps/b.yaml", "hosts: [b.test]\n");
    follower.wait_for("document-applied");
    assert!(edge.karman(&["events"]).stdout.contains("generation 2"));
}

#[test]
fn a_follower_of_events_waits_for_a_proxy_that_went_away() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let mut follower = Program::start("events", Path::new(KARMAN), edge.dir(), ["events", "--follow", "--since", "0"]);
    follower.wait_for("document-applied");
    let starts = follower.said().matches("edge-starting").count();
    edge.kill_proxy();
    follower.wait_for("the proxy went away");
    edge.start_proxy();
    wait_until("the events of the new run come", || follower.said().matches("edge-starting").count() > starts);
}

#[test]
fn a_socket_may_lie_deep_in_the_file_system() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let deep = edge.dir().join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    std::fs::rename(edge.socket(), deep.join("admin.sock")).unwrap();
    let status = edge.karman(&["status", "--socket", deep.join("admin.sock").to_str().unwrap()]);
    assert_eq!(status.code, 0, "{status:?}");
}

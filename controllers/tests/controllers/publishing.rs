//! Publisher and proxy through everything that can happen to either.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::edge::Edge;
use crate::program::{signal, wait_until};

fn app(n: usize) -> (String, String) {
    (format!("apps/app-{n}.yaml"), format!("hosts: [a{n}.test]\ninstances: {{}}\n"))
}

fn write_apps(edge: &Edge, apps: std::ops::Range<usize>) {
    for (name, text) in apps.map(app) {
        edge.write(&name, &text);
    }
}

#[test]
fn a_change_is_sent_as_a_delta() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n"), ("apps/b.yaml", "hosts: [b.test]\n")]);
    edge.publisher().wait_for("the whole document, 2 apps");
    let (epoch, generation) = edge.stamp("apps");
    edge.write("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: 4\n");
    edge.publisher().wait_for("is live: 1 changed (a)");
    assert_eq!(edge.stamp("apps"), (epoch, generation + 1));
    edge.remove("apps/b.yaml");
    edge.publisher().wait_for("is live: 1 removed (b)");
    edge.write("apps/a.yaml", "# nothing new\nhosts: [a.test]\nwarm_seconds: 4\n");
    edge.write("apps/c.yaml", "hosts: [c.test]\n");
    edge.publisher().wait_for("is live: 1 changed (c)");
    assert_eq!(edge.publisher().said().matches("the whole document").count(), 1);
    wait_until("the edge's entry says so", || {
        let text = fs::read_to_string(edge.path("edges/edge-1.json")).unwrap_or_default();
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        report["confirmed"]["apps"]["generation"] == edge.stamp("apps").1
    });
}

#[test]
fn a_publisher_that_was_killed_goes_on_where_it_was() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let before = edge.stamp("apps");
    edge.kill_publisher();
    edge.start_publisher();
    edge.publisher().wait_for("the store has 1 app");
    wait_until("the proxy is confirmed", || edge.try_get("/v1/status").unwrap()["documents"]["apps"]["confirmed_at"].is_string());
    assert_eq!(edge.stamp("apps"), before, "nothing changed, nothing was sent");
    assert!(!edge.publisher().said().contains("is live"), "{}", edge.publisher().said());

    edge.kill_publisher();
    edge.write("apps/b.yaml", "hosts: [b.test]\n");
    edge.start_publisher();
    wait_until("what changed meanwhile is live", || edge.apps() == ["a", "b"]);
}

#[test]
fn a_change_that_got_no_generation_goes_out_as_soon_as_the_ledger_can_be_written() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let (epoch, generation) = edge.stamp("apps");
    let (ledger, aside) = (edge.path(".karman/revision.json"), edge.dir().join("revision.json"));
    fs::rename(&ledger, &aside).unwrap();
    fs::create_dir(&ledger).unwrap();
    edge.write("apps/b.yaml", "hosts: [b.test]\n");
    edge.publisher().wait_for("what is new has no generation yet");
    assert_eq!(edge.apps(), ["a"]);
    fs::remove_dir(&ledger).unwrap();
    fs::rename(&aside, &ledger).unwrap();
    // Nothing else changes in the store.
    wait_until("the change is live", || edge.apps() == ["a", "b"]);
    assert_eq!(edge.stamp("apps"), (epoch, generation + 1));
}

#[test]
fn edges_of_one_store_share_what_an_instance_takes() {
    let mut first = Edge::with(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let mut second = Edge::with(&[]);
    second.rename("edge-2");
    first.start_proxy();
    second.start_proxy();
    first.start_publisher_to(&[first.socket(), second.socket()]);
    let serving = |edge: &Edge| edge.try_get("/v1/status").unwrap_or_default()["edges"]["serving"].clone();
    wait_until("both know of one another", || serving(&first) == 2 && serving(&second) == 2);
    second.kill_proxy();
    second.start_proxy();
    assert_eq!(serving(&second), 2, "it knows from its own disk");

    first.start_publisher();
    first.remove("edges/edge-2.json");
    wait_until("the first one knows that it is alone", || serving(&first) == 1);
}

#[test]
fn a_proxy_that_was_killed_gets_what_it_lacks() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let before = edge.stamp("apps");
    edge.kill_proxy();
    edge.start_proxy();
    assert_eq!((edge.stamp("apps"), edge.apps()), (before, vec!["a".to_owned()]), "it has it from its own disk");

    edge.kill_proxy();
    edge.write("apps/b.yaml", "hosts: [b.test]\n");
    edge.publisher().wait_for("nothing answers at the proxy's socket");
    edge.start_proxy();
    wait_until("what changed meanwhile is live", || edge.apps() == ["a", "b"]);
    edge.publisher().wait_for("the proxy is reached again");

    edge.kill_proxy();
    fs::remove_dir_all(edge.dir().join("state")).unwrap();
    edge.start_proxy();
    wait_until("a proxy that lost all has all again", || edge.apps() == ["a", "b"]);
}

#[test]
fn what_somebody_else_wrote_into_the_proxy_is_repaired() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let (epoch, generation) = edge.stamp("apps");
    let foreign = json!({"epoch": epoch, "generation": generation + 5, "base": generation,
        "put": {"x": {"hosts": ["x.test"], "instances": {}}}, "remove": ["a"]});
    assert_eq!(edge.call("PATCH", "/v1/apps", &foreign.to_string()).0, 200);
    assert_eq!(edge.apps(), ["x"]);
    wait_until("the store's word counts again", || edge.apps() == ["a"]);
    assert!(edge.stamp("apps") > (epoch, generation + 5));
}

#[test]
fn two_publishers_do_not_work_on_one_store() {
    let mut edge = Edge::running(&[]);
    let pid = edge.publisher().pid();
    let second = edge.karman(&["publish"]);
    assert_eq!(second.code, 75, "{second:?}");
    assert!(second.stderr.contains(&format!("another publisher (pid {pid} on ")), "{second:?}");
    edge.kill_publisher();
    assert_eq!(edge.karman(&["publish", "--once"]).code, 0, "a kill -9 leaves no lock behind");
    let nowhere = edge.karman(&["publish", "--store", "nowhere"]);
    assert_eq!(nowhere.code, 64);
    assert!(nowhere.stderr.contains("there is no store at nowhere"), "{nowhere:?}");
}

#[test]
fn a_mass_removal_waits_for_a_word_and_holds_back_nothing_else() {
    let mut edge = Edge::with(&[]);
    write_apps(&edge, 0..12);
    edge.start_proxy();
    edge.start_publisher();
    wait_until("all are live", || edge.apps().len() == 12);
    let nothing = edge.karman(&["publish", "--accept"]);
    assert_eq!(nothing.code, 64, "there is nothing to accept: {nothing:?}");

    (0..9).for_each(|n| edge.remove(&app(n).0));
    edge.publisher().wait_for("9 of 12 apps are gone from the store");
    edge.write("apps/new.yaml", "hosts: [new.test]\n");
    wait_until("the new app is live, and the others are still there", || edge.apps().len() == 13);
    // A word is for what the report says, which comes after what it tells of.
    wait_until("that is reported", || edge.report()["store"]["generation"] == edge.stamp("apps").1);
    let status = edge.karman(&["status"]);
    assert!(status.stdout.contains("9 of 12 apps are gone from the store, and the proxy keeps them"), "{}", status.stdout);
    assert!(edge.karman(&["apps"]).stdout.contains("! gone from the store"));

    let accepted = edge.karman(&["publish", "--accept"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert_eq!(edge.apps(), ["app-10", "app-11", "app-9", "new"]);
    assert_eq!(edge.report()["held"], Value::Null);
}

#[test]
fn a_mass_removal_is_also_doubted_by_a_publisher_that_starts() {
    let mut edge = Edge::with(&[]);
    write_apps(&edge, 0..12);
    edge.start_proxy();
    assert_eq!(edge.karman(&["publish", "--once"]).code, 0);
    (0..9).for_each(|n| edge.remove(&app(n).0));
    let doubted = edge.karman(&["publish", "--once"]);
    assert_eq!(doubted.code, 75, "{doubted:?}");
    assert_eq!(edge.apps().len(), 12);
    let accepted = edge.karman(&["publish", "--once", "--accept"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert_eq!(edge.apps().len(), 3);
}

#[test]
fn a_store_that_is_behind_its_proxy_wins_only_when_somebody_says_so() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let backup = fs::read(edge.path(".karman/revision.json")).unwrap();
    edge.write("apps/b.yaml", "hosts: [b.test]\n");
    wait_until("the change is live", || edge.apps() == ["a", "b"]);
    let ahead = edge.stamp("apps");
    edge.kill_publisher();
    fs::write(edge.path(".karman/revision.json"), backup).unwrap();
    edge.remove("apps/b.yaml");
    let good = edge.path(".karman/good.since.jsonl");
    let of_before: Vec<_> =
        fs::read_to_string(&good).unwrap().lines().filter(|line| !line.contains("apps/b")).map(str::to_owned).collect();
    fs::write(&good, of_before.join("\n") + "\n").unwrap();

    edge.start_publisher();
    edge.publisher().wait_for("this one was restored");
    assert_eq!(edge.stamp("apps"), ahead, "the proxy goes on as it was");
    let accepted = edge.karman(&["publish", "--accept"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert_eq!(edge.apps(), ["a"]);
    assert!(edge.stamp("apps").0 > ahead.0, "a new epoch");
}

#[test]
fn a_store_made_anew_wins_by_its_epoch() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let (epoch, _) = edge.stamp("apps");
    edge.kill_publisher();
    fs::remove_dir_all(edge.path(".karman")).unwrap();
    edge.write("apps/b.yaml", "hosts: [b.test]\n");
    // The clock counts whole seconds, and so do epochs.
    wait_until("the next second", || jiff::Timestamp::now().as_second().unsigned_abs() > epoch);
    edge.start_publisher();
    wait_until("the new store counts", || edge.apps() == ["a", "b"]);
    assert!(edge.stamp("apps").0 > epoch);
}

#[test]
fn what_a_store_may_have_lost_is_kept_until_a_word_whoever_starts_anew() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n"), ("apps/b.yaml", "hosts: [b.test]\n")]);
    let (epoch, _) = edge.stamp("apps");
    edge.kill_publisher();
    fs::remove_dir_all(edge.path("")).unwrap();
    // The clock counts whole seconds, and so do epochs.
    wait_until("the next second", || jiff::Timestamp::now().as_second().unsigned_abs() > epoch);
    edge.write("apps/c.yaml", "hosts: [c.test]\n");
    edge.start_publisher();
    wait_until("what is new is live", || edge.apps() == ["a", "b", "c"]);
    assert!(edge.stamp("apps").0 > epoch);

    let add = |edge: &Edge, id: &str| {
        edge.write(&format!("apps/{id}.yaml"), &format!("hosts: [{id}.test]\n"));
        wait_until(&format!("{id} is live"), || edge.apps().iter().any(|app| app == id));
        edge.apps()
    };
    edge.start_proxy();
    assert_eq!(add(&edge, "d"), ["a", "b", "c", "d"], "after another start of the proxy");
    wait_until("what is held is reported", || edge.report()["held"]["apps"] == json!(["a", "b"]));
    edge.start_publisher();
    assert_eq!(add(&edge, "e"), ["a", "b", "c", "d", "e"], "after another start of the publisher");
    edge.write("apps/a.yaml", "hosts: [a.test]\n");
    wait_until("one came back", || edge.report()["held"]["apps"] == json!(["b"]));
    assert_eq!(add(&edge, "f"), ["a", "b", "c", "d", "e", "f"], "and the others are still kept");

    let accepted = edge.karman(&["publish", "--accept"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert_eq!(edge.apps(), ["a", "c", "d", "e", "f"]);
}

#[test]
fn apps_that_a_store_may_have_lost_keep_their_pages() {
    let closed = |id: &str| format!("hosts: [{id}.test]\nstate: maintenance\npages: {{app-maintenance: pages/{id}.html}}\n");
    let mut edge = Edge::running(&[("apps/a.yaml", &closed("a")), ("pages/a.html", "a is back at noon\n")]);
    let shows = |edge: &Edge, id: &str| edge.page(&format!("{id}.test")).text.contains(&format!("{id} is back at noon"));
    assert!(shows(&edge, "a"));
    let (epoch, _) = edge.stamp("pages");
    edge.kill_publisher();
    fs::remove_dir_all(edge.path("")).unwrap();
    // The clock counts whole seconds, and so do epochs.
    wait_until("the next second", || jiff::Timestamp::now().as_second().unsigned_abs() > epoch);
    let add = |edge: &Edge, id: &str| {
        edge.write(&format!("pages/{id}.html"), &format!("{id} is back at noon\n"));
        edge.write(&format!("apps/{id}.yaml"), &closed(id));
        wait_until(&format!("{id} has its page"), || edge.apps().iter().any(|app| app == id) && shows(edge, id));
    };
    edge.start_publisher();
    add(&edge, "b");
    assert!(shows(&edge, "a"), "with the first pages of the new epoch");
    edge.start_publisher();
    add(&edge, "c");
    assert!(shows(&edge, "a"), "after another start of the publisher");
    edge.start_proxy();
    add(&edge, "d");
    assert!(shows(&edge, "a"), "after another start of the proxy");

    let accepted = edge.karman(&["publish", "--accept"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert_eq!(edge.apps(), ["b", "c", "d"]);
    add(&edge, "e");
    wait_until("the whole of what is left is confirmed", || edge.stamp("pages").0 > epoch);
}

#[test]
fn a_refused_app_keeps_the_page_of_its_version_before_whoever_starts_anew() {
    let shop = |hosts: &str| format!("hosts: [{hosts}]\nstate: maintenance\npages: {{app-maintenance: pages/shop.html}}\n");
    let mut edge = Edge::with(&[("apps/shop.yaml", &shop("shop.test")), ("pages/shop.html", "back at noon\n")]);
    write_apps(&edge, 0..12);
    edge.start_proxy();
    edge.start_publisher();
    wait_until("all are live", || edge.apps().len() == 13);
    let shows = |edge: &Edge| edge.page("shop.test").text.contains("back at noon");
    assert!(shows(&edge));
    // The proxy keeps apps that are gone at once, and so their hosts.
    signal(edge.publisher().pid(), Signal::STOP);
    (0..9).for_each(|n| edge.remove(&app(n).0));
    signal(edge.publisher().pid(), Signal::CONT);
    edge.publisher().wait_for("9 of 13 apps are gone from the store");
    edge.write("pages/shop.html", "back at one\n");
    edge.write("apps/shop.yaml", &shop("shop.test, a0.test"));
    edge.publisher().wait_for("the proxy keeps what it has of shop");

    let add = |edge: &Edge, id: &str| {
        edge.write(&format!("apps/{id}.yaml"), &format!("hosts: [{id}.test]\n"));
        wait_until(&format!("{id} is live"), || edge.apps().iter().any(|app| app == id));
    };
    add(&edge, "b");
    assert!(shows(&edge), "as the version that is kept says");
    edge.start_publisher();
    add(&edge, "c");
    assert!(shows(&edge), "after another start of the publisher");
    edge.start_proxy();
    add(&edge, "d");
    assert!(shows(&edge), "after another start of the proxy");
    edge.write("pages/other.html", "another page\n");
    add(&edge, "e");
    assert!(shows(&edge), "beside other pages");

    let accepted = edge.karman(&["publish", "--accept"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    wait_until("the new version has its page", || edge.page("a0.test").text.contains("back at one"));
}

#[test]
fn keys_of_the_store_become_those_of_the_proxy() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let keys = |edge: &Edge| edge.try_get("/v1/status").unwrap()["documents"]["keys"].clone();
    let own = keys(&edge);
    let rotated = edge.karman(&["keys", "rotate", "cookie"]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    wait_until("the proxy has them", || keys(&edge)["hash"] != own["hash"]);
    wait_until("and the edge's entry says so", || {
        let text = fs::read_to_string(edge.path("edges/edge-1.json")).unwrap_or_default();
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        report["confirmed"]["keys"]["generation"] == keys(&edge)["generation"] && report["confirmed"]["keys"].is_object()
    });
    let shared = keys(&edge);
    edge.kill_publisher();
    edge.start_publisher();
    edge.publisher().wait_for("the store has 1 app");
    edge.write("apps/b.yaml", "hosts: [b.test]\n");
    wait_until("the next change is live", || edge.apps() == ["a", "b"]);
    assert_eq!(keys(&edge)["hash"], shared["hash"], "they are known again");
    let secret = fs::read_to_string(edge.path("store.key")).unwrap();
    assert!(!edge.publisher().said().contains(secret.trim()));
}

//! Programs of an older commit and of a tomorrow against those of today. `skew.sh` builds them, and runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "what tests share is made for more than this")]

#[path = "controllers/admin_socket.rs"]
mod admin_socket;
#[path = "controllers/edge.rs"]
mod edge;
#[path = "controllers/program.rs"]
mod program;
#[path = "controllers/recording.rs"]
mod recording;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use admin_socket::{Call, listen};
use edge::{Edge, backend, call};
use program::wait_until;
use recording::{STORE, change};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Age {
    Old,
    Today,
    Tomorrow,
}

impl Age {
    /// None: the one that was just built.
    fn program(self, name: &str) -> Option<PathBuf> {
        let folder = match self {
            Self::Old => "KARMAN_SKEW_OLD",
            Self::Today => return None,
            Self::Tomorrow => "KARMAN_SKEW_TOMORROW",
        };
        let program = Path::new(&std::env::var(folder).expect("skew.sh says where it is")).join(name);
        assert!(program.is_file(), "{} is missing", program.display());
        Some(program)
    }
}

fn app(host: &str, address: SocketAddr, more: &str) -> String {
    format!("hosts: [{host}]\ninstances:\n  i-1: {{address: \"{address}\"}}\n{more}")
}

/// A proxy and a publisher, with one app that runs and one that is down and has a page for that.
fn edge(proxy: Age, publisher: Age) -> (Edge, SocketAddr) {
    let address = backend("hello");
    let mut edge = Edge::with(&[
        ("apps/a.yaml", &app("a.test", address, "")),
        ("apps/down.yaml", "hosts: [down.test]\npages: {app-down: pages/down.html}\n"),
        ("pages/down.html", "<!doctype html>back at noon\n"),
    ]);
    edge.proxy_program = proxy.program("karman-proxy");
    edge.publisher_program = publisher.program("karman");
    edge.start_proxy();
    (edge, address)
}

fn wait_until_served(edge: &Edge) {
    wait_until("the app is served", || edge.page("a.test").text.ends_with("hello"));
    wait_until("and the page of the one that is down", || edge.page("down.test").text.contains("back at noon"));
}

fn wait_until_confirmed(edge: &Edge) {
    let documents = || edge.try_get("/v1/status").unwrap_or_default()["documents"].clone();
    let confirmed = |name: &str| documents()[name]["confirmed_at"].is_string();
    wait_until(&format!("it is confirmed: {:#}", documents()), || confirmed("apps") && confirmed("pages"));
}

/// Changes go live, and what somebody else wrote is repaired, once.
fn assert_kept(edge: &mut Edge, address: SocketAddr) {
    wait_until_served(edge);
    wait_until_confirmed(edge);
    edge.write("apps/a.yaml", &app("a.test", address, "warm_seconds: 3\n"));
    edge.wait_for_app("a", "/warm_seconds", 3);
    edge.write("apps/b.yaml", &app("b.test", address, ""));
    wait_until("a new app is served", || edge.page("b.test").status == 200);
    edge.remove("apps/b.yaml");
    wait_until("one that is gone is not", || edge.page("b.test").status == 404);
    assert!(!edge.publisher().said().contains("repairing"), "{}", edge.publisher().said());

    let (epoch, generation) = edge.stamp("apps");
    let foreign = json!({"epoch": epoch, "generation": generation + 5, "base": generation, "put": {}, "remove": ["a"]});
    assert_eq!(edge.call("PATCH", "/v1/apps", &foreign.to_string()).0, 200);
    wait_until_served(edge);
    assert!(edge.stamp("apps") > (epoch, generation + 5));
}

#[test]
fn a_publisher_of_before_keeps_a_proxy_of_today() {
    let (mut edge, address) = edge(Age::Today, Age::Old);
    edge.start_publisher();
    assert_kept(&mut edge, address);
}

#[test]
fn a_publisher_of_today_keeps_a_proxy_of_before() {
    let (mut edge, address) = edge(Age::Old, Age::Today);
    edge.start_publisher();
    assert_kept(&mut edge, address);
    edge.wait_until_live();

    let keys = |edge: &Edge| edge.try_get("/v1/status").unwrap()["documents"]["keys"]["hash"].clone();
    assert!(keys(&edge).is_null());
    assert_eq!(edge.karman(&["keys", "rotate", "cookie"]).code, 0);
    wait_until("it has the keys", || keys(&edge).is_string());

    // It takes no certificates yet: they hold back nothing else.
    let names = ["a.test".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(edge.dir().join("chain.pem"), made.cert.pem()).unwrap();
    fs::write(edge.dir().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let added = edge.karman(&["certificates", "add", "--chain", "chain.pem", "--key", "key.pem"]);
    assert_eq!(added.code, 0, "{added:?}");
    edge.write("apps/a.yaml", &app("a.test", address, "warm_seconds: 4\ndeny: [{net: 203.0.113.0/24}]\n"));
    edge.wait_for_app("a", "/warm_seconds", 4);
    assert_eq!(edge.app("a", "/deny/0/net"), "203.0.113.0/24");
    edge.wait_until_live();
    assert!(edge.report()["without"].is_null(), "{:#}", edge.report());
}

#[test]
fn publishers_of_all_ages_take_turns_on_one_store() {
    let (mut edge, address) = edge(Age::Today, Age::Old);
    let mut stamp = (0, 0);
    for (n, age) in [Age::Old, Age::Today, Age::Tomorrow, Age::Today, Age::Old].into_iter().enumerate() {
        edge.kill_publisher();
        edge.publisher_program = age.program("karman");
        edge.start_publisher();
        edge.write("apps/a.yaml", &app("a.test", address, &format!("warm_seconds: {}\n", n + 1)));
        edge.wait_for_app("a", "/warm_seconds", n + 1);
        wait_until_served(&edge);
        assert!(edge.stamp("apps") > stamp, "{age:?}: the order goes on");
        stamp = edge.stamp("apps");
        assert!(!edge.publisher().said().contains("WARN"), "{age:?}: {}", edge.publisher().said());
    }
}

#[test]
fn proxies_of_all_ages_take_turns_under_one_publisher() {
    let (mut edge, address) = edge(Age::Old, Age::Today);
    for (n, age) in [Age::Old, Age::Today, Age::Tomorrow, Age::Today, Age::Old].into_iter().enumerate() {
        edge.kill_publisher();
        edge.proxy_program = age.program("karman-proxy");
        edge.start_proxy();
        if n > 0 {
            assert!(edge.page("a.test").text.ends_with("hello"), "{age:?}: it serves what the one before it saved");
        }
        edge.start_publisher();
        edge.write("apps/a.yaml", &app("a.test", address, &format!("warm_seconds: {}\n", n + 1)));
        edge.wait_for_app("a", "/warm_seconds", n + 1);
        wait_until_served(&edge);
        edge.wait_until_live();
    }
}

#[test]
fn a_field_of_tomorrow_stops_no_app_at_an_older_proxy() {
    for age in [Age::Old, Age::Today] {
        let (mut edge, address) = edge(age, Age::Tomorrow);
        edge.write("apps/a.yaml", &app("a.test", address, "limits: {tomorrow: 7}\n"));
        edge.start_publisher();
        edge.publisher().wait_for("the edge edge-1 does not know 'apps.*.limits.tomorrow': it serves 1 without it (a)");
        wait_until_served(&edge);
        wait_until_confirmed(&edge);
        edge.wait_until_live();
        assert_eq!(edge.report()["refused"], json!({}));
        let status = edge.karman(&["status"]);
        assert!(status.stdout.contains("the edge edge-1 does not know 'apps.*.limits.tomorrow'"), "{status:?}");

        edge.write("apps/a.yaml", &app("a.test", address, "limits: {tomorrow: 8, queue: 9}\n"));
        edge.wait_for_app("a", "/limits/queue", 9);
        assert!(edge.app("a", "/limits/tomorrow").is_null());
        assert!(!edge.publisher().said().contains("repairing"), "{}", edge.publisher().said());
        let stamp = edge.stamp("apps");
        edge.kill_publisher();
        edge.start_publisher();
        edge.publisher().wait_for("does not know");
        wait_until_confirmed(&edge);
        assert_eq!(edge.stamp("apps"), stamp, "what it has is known again");

        // The proxy is upgraded, and gets what it lacked.
        edge.proxy_program = Age::Tomorrow.program("karman-proxy");
        edge.start_proxy();
        edge.wait_for_app("a", "/limits/tomorrow", 8);
        wait_until("nothing is left out any more", || edge.report()["without"].is_null());
    }
}

#[test]
fn an_app_with_a_field_of_tomorrow_that_matters_keeps_its_last_good_version() {
    for age in [Age::Old, Age::Today] {
        let (mut edge, address) = edge(age, Age::Tomorrow);
        edge.write("apps/a.yaml", &app("a.test", address, "limits: {queue: 8}\n"));
        edge.write("apps/b.yaml", &app("b.test", address, "limits: {strict: 1}\n"));
        edge.start_publisher();
        edge.publisher().wait_for("the proxy keeps what it has of b: apps.b.limits.strict: this proxy does not know the field");
        edge.wait_for_app("a", "/limits/queue", 8);
        edge.write("apps/a.yaml", &app("a.test", address, "limits: {queue: 9, strict: 1}\n"));
        edge.publisher().wait_for("the proxy keeps what it has of a");
        edge.write("apps/c.yaml", &app("c.test", address, ""));
        let has = |edge: &Edge, id: &str| edge.apps().iter().any(|app| app == id);
        wait_until("the others go through", || has(&edge, "c"));
        assert!(!has(&edge, "b"), "it has no good version there");
        assert_eq!(edge.app("a", "/limits/queue"), 8);
        assert!(edge.karman(&["status"]).stdout.contains("apps.a.limits.strict"));

        edge.proxy_program = Age::Tomorrow.program("karman-proxy");
        edge.start_proxy();
        edge.wait_for_app("a", "/limits/queue", 9);
        wait_until("all are there", || has(&edge, "b"));
    }
}

#[test]
fn a_proxy_of_tomorrow_is_kept_by_a_publisher_of_today() {
    let (mut edge, address) = edge(Age::Tomorrow, Age::Today);
    edge.start_publisher();
    assert_kept(&mut edge, address);
    edge.wait_until_live();
    // A file with a field that its publisher does not know keeps its last good version.
    edge.write("apps/a.yaml", &app("a.test", address, "limits: {tomorrow: 7}\n"));
    edge.wait_for_mistake("there is no such field");
    edge.write("apps/c.yaml", &app("c.test", address, ""));
    wait_until("another app goes on", || edge.page("c.test").status == 200);
    wait_until_served(&edge);
}

/// What an older program says and is told, which the ordinary tests replay.
#[test]
fn what_both_sides_say_is_taken_and_can_be_recorded() {
    for (name, proxy, publisher) in [("old-publisher", Age::Today, Age::Old), ("old-proxy", Age::Old, Age::Today)] {
        let mut edge = Edge::with(STORE);
        edge.proxy_program = proxy.program("karman-proxy");
        edge.publisher_program = publisher.program("karman");
        edge.start_proxy();
        let (exchanges, relay) = (Exchanges::default(), edge.dir().join("run/relay.sock"));
        exchanges.relay(&relay, &edge.socket());
        edge.publish_to(&relay);
        change(&mut edge);
        wait_until("it confirms", || exchanges.has("POST /v1/confirm"));
        edge.kill_publisher();
        let exchanges = exchanges.all();
        assert!(exchanges.iter().all(|exchange| exchange["status"] == 200), "{exchanges:#?}");
        if let Some(folder) = std::env::var_os("KARMAN_SKEW_RECORD").filter(|folder| !folder.is_empty()) {
            let lines: Vec<_> = exchanges.iter().map(|exchange| format!("{exchange}\n")).collect();
            fs::write(Path::new(&folder).join(format!("{name}.jsonl")), lines.concat()).unwrap();
        }
    }
}

/// Calls and their answers, in order.
#[derive(Clone, Default)]
struct Exchanges(Arc<Mutex<Vec<Value>>>);

impl Exchanges {
    /// Passes on what comes to one socket to another, and keeps it.
    fn relay(&self, from: &Path, to: &Path) {
        let (exchanges, to) = (self.clone(), to.to_owned());
        let pass_on = move |asked: &Call| {
            let (method, path) = asked.what.split_once(' ').unwrap();
            let body = if asked.body.is_null() { String::new() } else { asked.body.to_string() };
            let (status, answer) = call(&to, method, path, &body).expect("the proxy answers");
            let exchange = json!({"call": asked.what, "body": asked.body, "status": status, "answer": answer});
            exchanges.0.lock().unwrap().push(exchange);
            (status, answer)
        };
        drop(listen(from, pass_on));
    }

    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    fn has(&self, call: &str) -> bool {
        self.0.lock().unwrap().iter().any(|exchange| exchange["call"] == call)
    }
}

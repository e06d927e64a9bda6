//! Orders from beginning to end at a real CA.

use std::fs;

use serde_json::{Value, json};

use super::https::Identity;
use super::pebble::{ACME, EAB, HTTP, Pebble, own_address};
use super::platform::{Answerer, Platform, names_of};
use crate::program::wait_until;

struct Scene {
    platform: Platform,
    pebble: Pebble,
    _answerer: Answerer,
}

fn certificates(method: &str) -> Value {
    json!({
        "cas": [{"name": "pebble", "directory": Pebble::directory(), "root": "ca-root.pem", "caa": ["pebble.example"]}],
        "contact": ["ops@example.com"],
        "resolvers": [Pebble::resolver()],
        "addresses": [own_address(0).ip()],
        "method": method,
        "propagation_seconds": 0,
    })
}

fn scene(settings: &Value) -> Scene {
    let platform = Platform::new();
    platform.settings(settings);
    let pebble = Pebble::start(platform.dir(), &Identity::for_address(own_address(ACME)), 20);
    let answerer = Answerer::start(own_address(HTTP), platform.data("keys"));
    Scene { platform, pebble, _answerer: answerer }
}

#[test]
fn every_host_gets_a_certificate_of_its_own_by_http_01() {
    let mut scene = scene(&certificates("http-01"));
    let platform = &mut scene.platform;
    let hosts: Vec<_> = (0..20).map(|index| format!("app-{index}.example.com")).collect();
    platform.app("one", &hosts.iter().map(String::as_str).collect::<Vec<_>>());
    platform.app("two", &["todos.example.org", "localhost"]);
    platform.start();
    for host in hosts.iter().map(String::as_str).chain(["todos.example.org"]) {
        assert_eq!(names_of(&platform.certified(host)), [format!("DNSName({host})")]);
    }
    let text = fs::read_to_string(platform.data("certificates/todos.example.org.json")).unwrap();
    assert!(!text.contains("PRIVATE KEY") && text.contains("\"key\": \"aes256gcm:"), "the key is sealed: {text}");

    let list = platform.verb(&["list", "--json"]).json();
    assert_eq!(list.as_array().unwrap().len(), 22);
    let why = platform.verb(&["why", "todos.example.org"]).stdout;
    assert!(why.starts_with("todos.example.org is certified until") && why.lines().count() == 1, "{why}");
    let why = platform.verb(&["why", "localhost"]).stdout;
    assert!(why.contains("no public CA issues a certificate for such a name"), "{why}");
}

#[test]
fn a_wildcard_is_proven_through_dns_and_leaves_nothing_behind() {
    let mut settings = certificates("http-01");
    let mut scene = scene(&settings);
    let platform = &mut scene.platform;
    settings["dns"] = json!({"zones": ["example.net"], "hook": Pebble::hook(platform.dir())});
    platform.settings(&settings);
    platform.app("one", &["one.apps.example.net", "*.shop.example.net", "*.shop.example.com"]);
    platform.start();
    assert_eq!(names_of(&platform.certified("_wildcard.apps.example.net")), ["DNSName(*.apps.example.net)"]);
    assert_eq!(names_of(&platform.certified("_wildcard.shop.example.net")), ["DNSName(*.shop.example.net)"]);
    assert!(platform.entry("certificates/one.apps.example.net").is_none(), "the wildcard is good for it");
    let why = platform.verb(&["why", "*.shop.example.com"]).stdout;
    assert!(why.contains("no zone in 'certificates.dns.zones'"), "{why}");
    wait_until("the records are gone", || {
        let log = fs::read_to_string(platform.dir().join("hook.log")).unwrap();
        log.matches("present ").count() == 2 && log.matches("remove ").count() == 2
    });
}

#[test]
fn a_proof_in_dns_that_nobody_found_leaves_nothing_behind_either() {
    let mut settings = certificates("http-01");
    let mut scene = scene(&settings);
    let platform = &mut scene.platform;
    // It writes where no CA looks.
    fs::write(platform.dir().join("hook.sh"), "[ $1 = wait ] || echo \"$1 $2\" >> hook.log\n").unwrap();
    settings["dns"] = json!({"zones": ["example.net"], "hook": ["sh", "hook.sh"]});
    platform.settings(&settings);
    platform.app("one", &["*.shop.example.net"]);
    platform.start();
    wait_until("the record is gone", || {
        let log = fs::read_to_string(platform.dir().join("hook.log")).unwrap_or_default();
        log.contains("present ") && log.contains("remove ")
    });
}

#[test]
fn nothing_is_ordered_before_the_dns_is_right() {
    let mut scene = scene(&certificates("http-01"));
    let platform = &mut scene.platform;
    scene.pebble.dns("add-a", &json!({"host": "elsewhere.example.com.", "addresses": ["192.0.2.7"]}));
    scene
        .pebble
        .dns("add-caa", &json!({"host": "strict.example.org.", "policies": [{"tag": "issue", "value": "other.example"}]}));
    scene
        .pebble
        .dns("add-caa", &json!({"host": "loose.example.org.", "policies": [{"tag": "issue", "value": "pebble.example"}]}));
    platform.app("one", &["elsewhere.example.com", "www.strict.example.org", "www.loose.example.org"]);
    platform.start();
    platform.certified("www.loose.example.org");
    for (host, expected) in [
        ("elsewhere.example.com", "points to 192.0.2.7, not to this platform"),
        ("www.strict.example.org", "allow only other.example, and none of ours"),
    ] {
        wait_until(&format!("{host} waits"), || platform.verb(&["why", host]).stdout.contains(expected));
    }
    assert_eq!(scene.pebble.said().matches("Added order").count(), 1, "{}", scene.pebble.said());
}

#[test]
fn a_certificate_is_renewed_when_somebody_asks_and_when_the_account_has_another_key() {
    let mut scene = scene(&certificates("http-01"));
    let platform = &mut scene.platform;
    platform.app("one", &["todos.example.com"]);
    platform.start();
    platform.certified("todos.example.com");
    let first = platform.serial("todos.example.com").unwrap();
    let account = platform.entry("keys/acme-pebble").unwrap();

    let told = crate::program::karman(platform.dir(), &["keys", "rotate", "pebble", "--store", "data"]);
    assert_eq!(told.code, 0, "{told:?}");
    wait_until("the account has another key", || {
        platform
            .entry("keys/acme-pebble")
            .is_some_and(|now| now["thumbprints"][0] != account["thumbprints"][0] && now["rotate"].is_null())
    });
    let now = platform.entry("keys/acme-pebble").unwrap();
    assert_eq!(now["thumbprints"][1], account["thumbprints"][0], "edges answer for the old key too");

    assert_eq!(platform.verb(&["renew", "todos.example.com"]).code, 0);
    wait_until("there is another certificate", || platform.serial("todos.example.com").is_some_and(|now| now != first));
    platform.kill();
    platform.start();
    let second = platform.serial("todos.example.com").unwrap();
    assert_eq!(platform.verb(&["renew", "todos.example.com"]).code, 0);
    wait_until("a controller that was started later knows the new key", || {
        platform.serial("todos.example.com").is_some_and(|now| now != second)
    });
}

#[test]
fn a_ca_that_forgot_everything_is_told_again() {
    let mut scene = scene(&certificates("http-01"));
    let (platform, pebble) = (&mut scene.platform, &mut scene.pebble);
    platform.app("one", &["first.example.com"]);
    platform.start();
    platform.certified("first.example.com");
    let thumbprint = platform.entry("keys/acme-pebble").unwrap()["thumbprints"][0].clone();

    pebble.stop();
    platform.app("two", &["second.example.com"]);
    wait_until("the name waits for the CA", || {
        platform.entry("orders/second.example.com").is_some_and(|order| order["failures"] == 1)
    });
    pebble.start_again(platform.dir());
    // Twice, because the first try finds out that the account is gone.
    for _ in 0..2 {
        assert_eq!(platform.verb(&["renew", "second.example.com"]).code, 0);
        wait_until("a try is over", || {
            platform
                .entry("orders/second.example.com")
                .is_none_or(|order| order["failures"] == 1 && order["not_before"].is_string())
        });
    }
    platform.certified("second.example.com");
    assert_eq!(platform.entry("keys/acme-pebble").unwrap()["thumbprints"][0], thumbprint, "edges answer as before");
}

#[test]
fn a_second_controller_stands_by_until_the_first_is_gone() {
    let mut scene = scene(&certificates("http-01"));
    let (platform, pebble) = (&mut scene.platform, &scene.pebble);
    platform.app("one", &["first.example.com"]);
    platform.start();
    platform.certified("first.example.com");
    let mut other = platform.start_one("other");
    other.wait_for("works on the certificates of data; this one stands by");
    platform.app("two", &["second.example.com"]);
    platform.certified("second.example.com");
    assert_eq!(pebble.said().matches("Added order").count(), 2, "{}", pebble.said());

    platform.kill();
    platform.app("three", &["third.example.com"]);
    platform.certified("third.example.com");
    // It says so after the store has it.
    other.wait_for("third.example.com has a certificate");
    assert!(!other.said().contains("second.example.com has a certificate"), "{}", other.said());
    assert_eq!(pebble.said().matches("Added order").count(), 3, "{}", pebble.said());
}

#[test]
fn a_ca_that_wants_a_binding_to_an_account_gets_it() {
    let mut platform = Platform::new();
    let mut settings = certificates("http-01");
    platform.settings(&settings);
    let _pebble = Pebble::start_for_members(platform.dir(), &Identity::for_address(own_address(ACME)));
    let _answerer = Answerer::start(own_address(HTTP), platform.data("keys"));
    platform.app("one", &["todos.example.com"]);
    platform.start();
    wait_until("the name waits", || platform.entry("orders/todos.example.com").is_some_and(|order| order["failures"] == 1));
    let why = platform.verb(&["why", "todos.example.com"]).stdout;
    assert!(why.contains("externalAccountRequired"), "{why}");

    fs::write(platform.dir().join("member.eab"), EAB.1).unwrap();
    settings["cas"][0]["eab"] = json!({"kid": EAB.0, "key_file": "member.eab"});
    platform.settings(&settings);
    assert_eq!(platform.verb(&["renew", "todos.example.com"]).code, 0);
    platform.certified("todos.example.com");
}

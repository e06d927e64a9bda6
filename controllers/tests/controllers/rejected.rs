//! A certificate and a challenge that a real proxy refuses hold back no other; those that a store lost stay.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use karman::sealing::Sealing;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::edge::Edge;
use crate::program::wait_until;

fn pair(name: &str) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([name.to_owned()]).unwrap()
}

/// An order at a CA that is about to look at a challenge for its host.
fn write_order(edge: &Edge, host: &str, chain: &str, key: &str) {
    let sealing = Sealing::open(&edge.path("store.key")).unwrap();
    let sealed = sealing.seal(&format!("orders/{host}"), key.as_bytes()).unwrap();
    let order = json!({"names": [host], "attempt": {"ca": "some", "key": sealed, "shown": {"alpn": {host: {"chain": chain, "key": sealed}}}}});
    edge.write(&format!("orders/{host}.json"), &order.to_string());
}

/// A certificate as a person would leave it there who seals by hand.
fn write_certificate(edge: &Edge, host: &str, chain: &str, key: &str) {
    let sealing = Sealing::open(&edge.path("store.key")).unwrap();
    let sealed = sealing.seal(&format!("certificates/{host}"), key.as_bytes()).unwrap();
    let (from, until) = ("2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z");
    let certificate = json!({"names": [host], "chain": chain, "key": sealed, "not_before": from, "not_after": until});
    edge.write(&format!("certificates/{host}.json"), &certificate.to_string());
}

/// What a CA gets to see that looks for the proof of tls-alpn-01.
fn shown_to_ca(https: SocketAddr, host: &str) -> String {
    let (at, arguments) = (https.to_string(), ["-servername", host, "-alpn", "acme-tls/1"]);
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &at]).args(arguments).stdin(Stdio::null());
    String::from_utf8_lossy(&client.output().unwrap().stdout).replace('\r', "")
}

fn certificates(edge: &Edge) -> Vec<String> {
    let page = edge.try_get("/v1/certificates").unwrap_or_default();
    page["certificates"].as_object().into_iter().flatten().map(|(id, _)| id.clone()).collect()
}

#[test]
fn a_bad_certificate_and_a_bad_challenge_are_left_out_and_named() {
    let mut edge = Edge::with(&[("apps/a.yaml", "hosts: [a.test, b.test, c.test, d.test]\n")]);
    edge.listen(&json!({"http": ["127.0.0.1:0"], "https": ["127.0.0.1:0"]}));
    assert_eq!(edge.karman(&["keys", "rotate", "cookie"]).code, 0, "it makes the key that secrets are sealed with");
    let [a, b, c, d] = ["a.test", "b.test", "c.test", "d.test"].map(pair);
    write_certificate(&edge, "a.test", &a.cert.pem(), &a.signing_key.serialize_pem());
    write_certificate(&edge, "b.test", &b.cert.pem(), &a.signing_key.serialize_pem());
    write_order(&edge, "c.test", &c.cert.pem(), &c.signing_key.serialize_pem());
    write_order(&edge, "d.test", "no certificate", &d.signing_key.serialize_pem());
    edge.start_proxy();
    edge.start_publisher();
    edge.publisher().wait_for("the proxy refused the certificate b.test and does without it: certificates.b.test.key: ");
    edge.publisher().wait_for("the proxy refused the challenge of d.test and does without it: challenges.alpn.d.test.chain: ");
    edge.wait_until_live();
    let https = edge.try_get("/v1/status").unwrap()["bound"]["https"][0].as_str().unwrap().parse().unwrap();
    assert_eq!(certificates(&edge), ["a.test"]);
    assert!(shown_to_ca(https, "c.test").contains(c.cert.pem().trim()), "{}", shown_to_ca(https, "c.test"));
    assert!(!shown_to_ca(https, "d.test").contains("BEGIN CERTIFICATE"));
    assert_eq!(edge.apps(), ["a"]);
    let status = edge.karman(&["status"]);
    for words in
        ["the proxy refused the certificate b.test and does without it", "the challenge of d.test", "but for what is below"]
    {
        assert!(status.stdout.contains(words), "{status:?}");
    }
    let secret = d.signing_key.serialize_pem();
    assert!(!edge.publisher().said().contains(secret.lines().nth(1).unwrap()), "a key is never told");

    // Others come and go meanwhile, and the bad ones get their chance when they change.
    write_certificate(&edge, "c.test", &c.cert.pem(), &c.signing_key.serialize_pem());
    wait_until("another certificate is live", || certificates(&edge) == ["a.test", "c.test"]);
    write_certificate(&edge, "b.test", &b.cert.pem(), &b.signing_key.serialize_pem());
    write_order(&edge, "d.test", &d.cert.pem(), &d.signing_key.serialize_pem());
    wait_until("both are well", || edge.report()["rejected"] == Value::Null && edge.report()["up_to_date"] == true);
    assert_eq!(certificates(&edge), ["a.test", "b.test", "c.test"]);
    assert!(shown_to_ca(https, "d.test").contains(d.cert.pem().trim()));
}

#[test]
fn a_certificate_that_turns_bad_leaves_the_one_before_it_in_place() {
    let mut edge = Edge::with(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    edge.listen(&json!({"http": ["127.0.0.1:0"], "https": ["127.0.0.1:0"]}));
    assert_eq!(edge.karman(&["keys", "rotate", "cookie"]).code, 0);
    let (good, other) = (pair("a.test"), pair("other.test"));
    write_certificate(&edge, "a.test", &good.cert.pem(), &good.signing_key.serialize_pem());
    edge.start_proxy();
    edge.start_publisher();
    let fingerprint = || edge.try_get("/v1/certificates").unwrap_or_default()["certificates"]["a.test"]["fingerprint"].clone();
    wait_until("it is live", || fingerprint().is_string());
    let before = fingerprint();
    write_certificate(&edge, "a.test", &other.cert.pem(), &other.signing_key.serialize_pem());
    wait_until("it is refused", || edge.report()["rejected"]["the certificate a.test"].is_array());
    assert_eq!(fingerprint(), before);
}

#[test]
fn certificates_that_a_store_may_have_lost_are_kept_until_a_word() {
    let mut edge = Edge::with(&[("apps/x.yaml", "hosts: [a.test, b.test, c.test, d.test]\n")]);
    edge.listen(&json!({"http": ["127.0.0.1:0"], "https": ["127.0.0.1:0"]}));
    assert_eq!(edge.karman(&["keys", "rotate", "cookie"]).code, 0);
    let add = |edge: &Edge, host: &str| {
        let pair = pair(host);
        write_certificate(edge, host, &pair.cert.pem(), &pair.signing_key.serialize_pem());
    };
    add(&edge, "a.test");
    add(&edge, "b.test");
    edge.start_proxy();
    edge.start_publisher();
    wait_until("both are live", || certificates(&edge) == ["a.test", "b.test"]);
    let (epoch, _) = edge.stamp("certificates");

    edge.kill_publisher();
    fs::remove_dir_all(edge.path("certificates")).unwrap();
    fs::remove_dir_all(edge.path(".karman")).unwrap();
    // The clock counts whole seconds, and so do epochs.
    wait_until("the next second", || jiff::Timestamp::now().as_second().unsigned_abs() > epoch);
    edge.start_publisher();
    add(&edge, "c.test");
    wait_until("what is new is live", || certificates(&edge) == ["a.test", "b.test", "c.test"]);
    let held = |edge: &Edge| edge.report()["held_certificates"]["certificates"].clone();
    wait_until("what is held is reported", || held(&edge) == json!(["a.test", "b.test"]));
    let status = edge.karman(&["status"]);
    assert!(status.stdout.contains("2 of 2 certificates are gone from the store, and the proxy keeps them"), "{status:?}");

    edge.start_proxy();
    edge.start_publisher();
    add(&edge, "d.test");
    wait_until("after new starts too", || certificates(&edge) == ["a.test", "b.test", "c.test", "d.test"]);
    add(&edge, "a.test");
    wait_until("one came back", || held(&edge) == json!(["b.test"]));
    edge.remove("certificates/c.test.json");
    wait_until("what the store takes out itself goes", || certificates(&edge) == ["a.test", "b.test", "d.test"]);

    // What somebody else did to them is seen and repaired, although their document cannot be known whole.
    let confirmed = || edge.try_get("/v1/status").unwrap_or_default()["documents"]["certificates"]["confirmed_at"].is_string();
    wait_until("what the proxy has is confirmed", confirmed);
    let status = edge.karman(&["status"]).stdout;
    let line = status.lines().find(|line| line.starts_with("certificates ")).unwrap_or_default();
    assert!(line.contains(", confirmed ") && status.lines().any(|line| line.starts_with("keys ")), "{status}");
    let (held_epoch, generation) = edge.stamp("certificates");
    assert_eq!(held_epoch, epoch, "it goes on by deltas");
    let foreign = json!({"epoch": epoch, "generation": generation + 1, "base": generation, "remove": ["d.test"]});
    assert_eq!(edge.call("PATCH", "/v1/certificates", &foreign.to_string()).0, 200);
    edge.publisher().wait_for("the proxy has something else than was sent: [Certificates]; repairing");
    wait_until("it is back", || certificates(&edge) == ["a.test", "b.test", "d.test"]);

    let accepted = edge.karman(&["publish", "--accept"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert_eq!(certificates(&edge), ["a.test", "d.test"]);
    assert!(edge.stamp("certificates").0 > epoch);
    assert_eq!(held(&edge), Value::Null);
}

#[test]
fn a_certificate_that_goes_from_a_store_of_another_epoch_is_kept_although_all_were_there_at_first() {
    let mut edge = Edge::with(&[("apps/x.yaml", "hosts: [a.test, b.test]\n")]);
    edge.listen(&json!({"http": ["127.0.0.1:0"], "https": ["127.0.0.1:0"]}));
    assert_eq!(edge.karman(&["keys", "rotate", "cookie"]).code, 0);
    for host in ["a.test", "b.test"] {
        let pair = pair(host);
        write_certificate(&edge, host, &pair.cert.pem(), &pair.signing_key.serialize_pem());
    }
    edge.start_proxy();
    edge.start_publisher();
    wait_until("both are live", || certificates(&edge) == ["a.test", "b.test"]);
    let (epoch, _) = edge.stamp("certificates");
    edge.kill_publisher();
    fs::remove_dir_all(edge.path(".karman")).unwrap();
    fs::remove_dir_all(edge.path("status")).unwrap();
    // The clock counts whole seconds, and so do epochs.
    wait_until("the next second", || jiff::Timestamp::now().as_second().unsigned_abs() > epoch);
    edge.start_publisher();
    edge.wait_until_live();
    edge.remove("certificates/b.test.json");
    wait_until("it is held", || edge.report()["held_certificates"]["certificates"] == json!(["b.test"]));
    assert_eq!(certificates(&edge), ["a.test", "b.test"]);
    let c = pair("c.test");
    write_certificate(&edge, "c.test", &c.cert.pem(), &c.signing_key.serialize_pem());
    wait_until("others come", || certificates(&edge) == ["a.test", "b.test", "c.test"]);
    assert_eq!(edge.karman(&["publish", "--accept"]).code, 0);
    assert_eq!(certificates(&edge), ["a.test", "c.test"]);
}

#[test]
fn a_certificate_that_cannot_be_opened_is_told_of_once() {
    let mut edge = Edge::with(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    assert_eq!(edge.karman(&["keys", "rotate", "cookie"]).code, 0);
    let pair = pair("a.test");
    write_certificate(&edge, "a.test", &pair.cert.pem(), &pair.signing_key.serialize_pem());
    // A sealed key opens at its own place only.
    fs::rename(edge.path("certificates/a.test.json"), edge.path("certificates/b.test.json")).unwrap();
    edge.start_proxy();
    edge.start_publisher();
    edge.publisher().wait_for("certificates/b.test");
    for seconds in 2..5 {
        edge.write("apps/a.yaml", &format!("hosts: [a.test]\nwarm_seconds: {seconds}\n"));
        edge.wait_for_app("a", "/warm_seconds", seconds);
    }
    let said = edge.publisher().said();
    assert_eq!(said.matches("certificates/b.test").count(), 1, "{said}");
}

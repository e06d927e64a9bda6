//! Certificates that people bring: `karman certificates add`, `import` and `show`.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use karman::sealing::Sealing;
use serde_json::{Value, json};

use super::https::Identity;
use super::platform::Platform;
use crate::program::wait_until;

/// Writes a chain and its key where another proxy, or a person, keeps them.
fn save(dir: &Path, chain: &str, key: &str, identity: &Identity) -> (String, String) {
    let (chain, key) = (dir.join(chain), dir.join(key));
    fs::create_dir_all(chain.parent().unwrap()).unwrap();
    fs::write(&chain, whole_chain(identity)).unwrap();
    fs::write(&key, &identity.key).unwrap();
    (chain.display().to_string(), key.display().to_string())
}

fn whole_chain(identity: &Identity) -> String {
    format!("{}{}", identity.chain, identity.root)
}

#[test]
fn a_pair_that_is_added_is_checked_sealed_and_shown() {
    let platform = Platform::new();
    platform.app("one", &["todos.example.com"]);
    let identity = Identity::for_names(&["todos.example.com", "idle.example.com"]);
    let (chain, key) = save(platform.dir(), "chain.pem", "key.pem", &identity);
    let added = platform.verb(&["add", "--chain", &chain, "--key", &key]);
    assert_eq!(added.code, 0, "{added:?}");
    let id = added.stdout.split(':').next().unwrap().to_owned();
    assert!(id.starts_with("_brought.todos.example.com-"), "{added:?}");
    assert!(added.stdout.starts_with(&format!("{id}: todos.example.com, idle.example.com until ")), "{added:?}");
    assert!(added.stdout.contains("no app has idle.example.com yet"), "{added:?}");
    let again = platform.verb(&["add", "--chain", &chain, "--key", &key, "--json"]).json();
    assert_eq!((&again["id"], &again["idle"]), (&json!(id), &json!(["idle.example.com"])));
    let text = fs::read_to_string(platform.data(&format!("certificates/{id}.json"))).unwrap();
    assert!(!text.contains("PRIVATE KEY") && text.contains("\"key\": \"aes256gcm:"), "the key is sealed: {text}");

    let shown = platform.verb(&["show", "idle.example.com"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("todos.example.com, idle.example.com") && shown.stdout.contains("added"), "{shown:?}");
    let shown = platform.verb(&["show", "todos.example.com", "--json"]).json();
    let (certificate, sealed) = (&shown[&id], serde_json::from_str::<Value>(&text).unwrap()["key"].clone());
    assert_eq!(certificate["source"], "added");
    assert_eq!(certificate["fingerprint"].as_str().unwrap().len(), 64);
    let printed = shown.to_string();
    assert!(!printed.contains(sealed.as_str().unwrap()), "not even sealed is a key printed: {printed}");
    let unknown = platform.verb(&["show", "other.example.com"]);
    assert_eq!(unknown.code, 65, "{unknown:?}");
    assert!(unknown.stderr.contains("no certificate in the store is for other.example.com"), "{unknown:?}");
}

#[test]
fn a_pair_that_is_not_good_is_refused_with_every_reason() {
    let platform = Platform::new();
    let identity = Identity::for_names(&["todos.example.com"]);
    let (chain, key) = save(platform.dir(), "chain.pem", "key.pem", &identity);
    let write = |path: &str, text: &str| fs::write(path, text).unwrap();
    write(&chain, &identity.chain);
    write(&key, &Identity::for_names(&["todos.example.com"]).key);
    let refused = platform.verb(&["add", "--chain", &chain, "--key", &key]);
    assert_eq!(refused.code, 65, "{refused:?}");
    for reason in ["is not that of the chain's first certificate", "the certificate of its issuer", "is missing"] {
        assert!(refused.stderr.contains(reason), "'{reason}' in {refused:?}");
    }
    write(&chain, "no certificate at all");
    write(&key, "");
    let refused = platform.verb(&["add", "--chain", &chain, "--key", &key]);
    assert_eq!(refused.code, 65, "{refused:?}");
    for reason in ["the chain has no certificate", "the key is empty"] {
        assert!(refused.stderr.contains(reason), "'{reason}' in {refused:?}");
    }
    assert!(!platform.data("certificates").exists(), "nothing came into the store");
}

#[test]
fn the_certificates_of_other_proxies_are_taken_over_once() {
    let platform = Platform::new();
    let [certbot, caddy, traefik, bad] =
        ["a.example.com", "b.example.com", "c.example.com", "d.example.com"].map(|name| Identity::for_names(&[name]));
    let dir = |name: &str| platform.dir().join(name);
    save(&dir("letsencrypt"), "live/a.example.com/fullchain.pem", "live/a.example.com/privkey.pem", &certbot);
    let inside = "certificates/acme-v02.api.letsencrypt.org-directory/b.example.com/b.example.com";
    save(&dir("caddy"), &format!("{inside}.crt"), &format!("{inside}.key"), &caddy);
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let stored = |name: &str, chain: &Identity, key: &Identity| json!({"domain": {"main": name}, "certificate": encoded(&whole_chain(chain)), "key": encoded(&key.key)});
    let certificates = [stored("c.example.com", &traefik, &traefik), stored("d.example.com", &bad, &caddy)];
    fs::write(dir("acme.json"), json!({"default": {"Certificates": certificates}}).to_string()).unwrap();

    for (from, id) in [("letsencrypt", "_brought.a.example.com"), ("caddy", "_brought.b.example.com")] {
        let taken = platform.verb(&["import", from]);
        assert_eq!(taken.code, 0, "{taken:?}");
        assert!(taken.stdout.contains(&format!("{id}: until ")), "{taken:?}");
        assert!(taken.stdout.ends_with("1 taken over, 0 refused\n"), "{taken:?}");
        assert_eq!(platform.entry(&format!("certificates/{id}")).unwrap()["source"], "imported");
    }
    let taken = platform.verb(&["import", "acme.json"]);
    assert_eq!(taken.code, 65, "one of two is not good: {taken:?}");
    assert!(taken.stdout.contains("c.example.com: until ") && taken.stdout.ends_with("1 taken over, 1 refused\n"), "{taken:?}");
    assert!(taken.stderr.contains("d.example.com: the private key is not that of"), "{taken:?}");
    let again = platform.verb(&["import", "letsencrypt"]);
    assert!(again.stdout.contains("the store has one that is as good\n0 taken over, 0 refused"), "{again:?}");
    let again = platform.verb(&["import", "letsencrypt", "--json"]).json();
    assert_eq!((&again["taken"], again["as_good"].as_array().unwrap().len()), (&json!([]), 1), "{again}");
    fs::create_dir(dir("empty")).unwrap();
    let nothing = platform.verb(&["import", "empty"]);
    assert_eq!(nothing.code, 64, "{nothing:?}");
    assert!(nothing.stderr.contains("no layout that is known here"), "{nothing:?}");
}

#[test]
fn a_pair_that_was_brought_outlives_the_order_for_one_of_its_names() {
    let mut platform = Platform::new();
    platform.settings(&json!({"cas": ["local"]}));
    platform.app("one", &["todos.example.com", "idle.example.com"]);
    let identity = Identity::for_names(&["todos.example.com", "idle.example.com"]);
    let (chain, key) = save(platform.dir(), "chain.pem", "key.pem", &identity);
    let added = platform.verb(&["add", "--chain", &chain, "--key", &key]);
    assert_eq!(added.code, 0, "{added:?}");
    let renewed = platform.verb(&["renew", "todos.example.com", "--json"]).json();
    assert_eq!((&renewed["asked_for"], &renewed["controller"]), (&json!("todos.example.com"), &Value::Null), "nobody runs");
    platform.start();
    platform.certified("todos.example.com");
    let shown = platform.verb(&["show", "idle.example.com", "--json"]).json();
    let names: Vec<_> = shown.as_object().unwrap().values().map(|shown| shown["source"].clone()).collect();
    assert_eq!(names, [json!("added")], "the other name has its certificate still: {shown}");
    let root = platform.verb(&["root", "--json"]).json();
    assert!(root["root"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"), "{root}");
}

#[test]
fn a_pair_that_stands_where_an_earlier_release_put_it_is_moved_and_not_lost() {
    let mut platform = Platform::new();
    platform.settings(&json!({"cas": ["local"]}));
    let names = ["todos.example.com", "idle.example.com"];
    platform.app("one", &names);
    let identity = Identity::for_names(&names);
    assert_eq!(platform.verb(&["list"]).code, 0);
    let (chain, key) = save(platform.dir(), "chain.pem", "key.pem", &identity);
    let added = platform.verb(&["add", "--chain", &chain, "--key", &key, "--json"]).json();
    let own = format!("certificates/{}", added["id"].as_str().unwrap());
    let sealing = Sealing::open(&platform.data("store.key")).unwrap();
    let mut entry = platform.entry(&own).unwrap();
    entry["key"] = json!(sealing.seal("certificates/todos.example.com", identity.key.as_bytes()).unwrap());
    fs::remove_file(platform.data(&format!("{own}.json"))).unwrap();
    fs::write(platform.data("certificates/todos.example.com.json"), entry.to_string()).unwrap();

    assert_eq!(platform.verb(&["renew", "todos.example.com"]).code, 0);
    platform.start();
    wait_until("it is ordered", || {
        platform.entry("certificates/todos.example.com").is_some_and(|entry| entry["source"] == "ordered")
    });
    let moved = platform.entry(&own).unwrap();
    assert_eq!((&moved["source"], &moved["names"]), (&json!("added"), &json!(names)));
    let sealed = serde_json::from_value::<String>(moved["key"].clone()).unwrap().parse().unwrap();
    assert_eq!(sealing.reveal_text(&own, &sealed).unwrap(), identity.key);
}

//! The layouts of other proxies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Harvest, read};

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn pairs(harvest: &Harvest) -> Vec<(&str, &str)> {
    harvest.found.iter().map(|found| (found.chain.as_str(), found.key.as_str())).collect()
}

#[test]
fn certbot_links_into_its_archive() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "archive/a.example.com/fullchain2.pem", "chain a");
    write(root, "archive/a.example.com/privkey2.pem", "key a");
    write(root, "live/README", "not a certificate");
    fs::create_dir_all(root.join("live/a.example.com")).unwrap();
    for name in ["fullchain", "privkey"] {
        symlink(root.join(format!("archive/a.example.com/{name}2.pem")), root.join(format!("live/a.example.com/{name}.pem")))
            .unwrap();
    }
    write(root, "live/b.example.com/fullchain.pem", "chain b");
    let harvest = read(root).unwrap();
    assert_eq!(pairs(&harvest), [("chain a", "key a")]);
    assert!(harvest.unreadable.len() == 1 && harvest.unreadable[0].contains("b.example.com/privkey.pem"));
}

#[test]
fn caddy_has_a_folder_for_each_ca() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let ca = "certificates/acme-v02.api.letsencrypt.org-directory";
    for name in ["a.example.com", "wildcard_.example.com"] {
        write(root, &format!("{ca}/{name}/{name}.crt"), &format!("chain {name}"));
        write(root, &format!("{ca}/{name}/{name}.key"), &format!("key {name}"));
        write(root, &format!("{ca}/{name}/{name}.json"), "{}");
    }
    let expected = [("chain a.example.com", "key a.example.com"), ("chain wildcard_.example.com", "key wildcard_.example.com")];
    assert_eq!(pairs(&read(root).unwrap()), expected);
}

#[test]
fn a_store_is_not_taken_for_caddys() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "apps/todos.yaml", "hosts: [a.example.com]");
    write(root, "certificates/a.example.com.json", "{}");
    let failure = read(root).err().unwrap().to_string();
    assert!(failure.contains("a store of Karman's own") && failure.contains("karman restore"), "{failure}");
}

#[test]
fn traefik_has_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let encoded = |text: &str| STANDARD.encode(text);
    let text = serde_json::json!({
        "le": {
            "Account": {"Email": "ops@example.com", "PrivateKey": "MII", "KeyType": "4096"},
            "Certificates": [
                {"domain": {"main": "a.example.com", "sans": ["b.example.com"]},
                 "certificate": encoded("chain a"), "key": encoded("key a"), "Store": "default"},
                {"domain": {"main": "c.example.com"}, "certificate": "%%%", "key": encoded("key c"), "Store": "default"},
            ],
        },
        "unused": {"Account": null, "Certificates": null},
    });
    write(folder.path(), "acme.json", &text.to_string());
    for place in [folder.path().to_owned(), folder.path().join("acme.json")] {
        let harvest = read(&place).unwrap();
        assert_eq!(pairs(&harvest), [("chain a", "key a")]);
        assert!(harvest.unreadable.len() == 1 && harvest.unreadable[0].contains("c.example.com"));
    }
}

#[test]
fn what_is_none_of_them_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let why = read(folder.path()).err().unwrap().message;
    assert!(["certbot", "Caddy", "Traefik"].iter().all(|name| why.contains(name)), "{why}");
    write(folder.path(), "acme.json", "{\"le\": 1, \"key\": \"secret\"");
    let harvest = read(folder.path()).unwrap();
    assert!(harvest.unreadable[0].contains("acme.json:1:"), "{:?}", harvest.unreadable);
    assert!(!harvest.unreadable[0].contains("secret"));
}

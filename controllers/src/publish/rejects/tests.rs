//! What goes through beside what is refused, as a table.

use std::sync::Arc;

use karman_contract::document::{Certificate, CertificatesDocument, from_json};
use karman_contract::read::Reason;

use super::{Content, Rejects};

/// `a:2` is the second version of a certificate, `!b.test:1` a challenge.
fn content(words: &str) -> Content<Certificate> {
    let pair = |version: &str| format!(r#""chain":"{version}","key":"k""#);
    let (mut items, mut challenges) = (Vec::new(), Vec::new());
    for word in words.split_whitespace() {
        let (name, version) = word.split_once(':').unwrap();
        match name.strip_prefix('!') {
            Some(host) => challenges.push(format!(r#""{host}":{{{}}}"#, pair(version))),
            None => items.push(format!(r#""{name}":{{{},"names":["a.test"]}}"#, pair(version))),
        }
    }
    let (items, challenges) = (items.join(","), challenges.join(","));
    let text = format!(r#"{{"generation":1,"certificates":{{{items}}},"challenges":{{"alpn":{{{challenges}}}}}}}"#);
    let document: CertificatesDocument = from_json(&text).unwrap();
    let items = document.items.into_iter().map(|(id, certificate)| (id, Arc::new(certificate))).collect();
    Content { items, beside: document.beside }
}

fn words(content: &Content<Certificate>) -> String {
    let items = content.items.iter().map(|(id, certificate)| format!("{id}:{}", certificate.chain));
    let challenges = content.beside.challenges.alpn.iter().map(|(host, challenge)| format!("!{host}:{}", challenge.chain));
    items.chain(challenges).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_refused_holds_back_nothing_else_until_it_changes() {
    for (has, wanted, refused, sent) in [
        ("", "a:1 b.test:1", &["certificates.b.test.chain"][..], "a:1"),
        ("b.test:1", "a:1 b.test:2", &["put.b.test.names[0]", "put.b.test.key"], "a:1 b.test:1"),
        ("", "a:1 !b.test:1 !c.test:1", &["challenges.alpn.b.test.chain"], "a:1 !c.test:1"),
        ("!b.test:1", "!b.test:2", &["challenges.alpn.b.test.key"], ""),
        ("", "a:1 b.test:1 !b.test:1", &["certificates.a", "challenges.alpn.b.test"], "b.test:1"),
    ] {
        let (has, wanted, mut rejects) = (content(has), content(wanted), Rejects::default());
        let first = rejects.apply(&wanted, Some(&has));
        assert_eq!(words(&first), words(&wanted));
        let reasons: Vec<_> = refused.iter().map(|at| Reason::new(*at, "no")).collect();
        assert!(rejects.refuse(&wanted, &first, &reasons), "{refused:?}");
        assert_eq!(words(&rejects.apply(&wanted, Some(&has))), sent, "{refused:?}");
        let count: usize = rejects.reasons().values().map(Vec::len).sum();
        assert_eq!(count, refused.len(), "every reason is told");
        let next = content("a:8 b.test:8 !b.test:8");
        assert_eq!(words(&rejects.apply(&next, Some(&has))), words(&next), "a new version gets its chance");
    }
}

#[test]
fn a_version_that_was_kept_and_ended_meanwhile_goes_too() {
    let (has, wanted, mut rejects) = (content("a:1 b:1"), content("a:2 b:1"), Rejects::default());
    assert!(rejects.refuse(&wanted, &wanted, &[Reason::new("put.a.chain", "no")]));
    let kept = rejects.apply(&wanted, Some(&has));
    assert_eq!(words(&kept), "a:1 b:1");
    assert!(rejects.refuse(&wanted, &kept, &[Reason::new("certificates.a.chain", "it expired")]));
    assert_eq!(words(&rejects.apply(&wanted, Some(&has))), "b:1");
}

#[test]
fn a_reason_that_names_nothing_that_was_sent_teaches_nothing() {
    let (wanted, mut rejects) = (content("a:1 !b.test:1"), Rejects::default());
    for at in ["", "generation", "accounts[0]", "certificates.c.chain", "challenges.alpn.c.test.chain", "apps.a"] {
        assert!(!rejects.refuse(&wanted, &wanted, &[Reason::new(at, "no")]), "{at}");
    }
    assert_eq!(words(&rejects.apply(&wanted, None)), words(&wanted));
}

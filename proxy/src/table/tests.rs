//! Routing by host and building of tables, against a naive reference.

use std::collections::HashSet;

use karman_contract::document::from_json;

use super::*;

fn document(generation: u64, apps: &[(&str, &str, &[&str])]) -> AppsDocument {
    let apps: Vec<String> = apps
        .iter()
        .map(|(id, owner, hosts)| {
            format!(r#""{id}":{{"owner":"{owner}","hosts":{hosts:?},"instances":{{"i":{{"address":"10.0.0.1:3000"}}}}}}"#)
        })
        .collect();
    from_json(&format!(r#"{{"generation":{generation},"apps":{{{}}}}}"#, apps.join(","))).unwrap()
}

fn delta(json: &str) -> AppsDelta {
    from_json(json).unwrap()
}

fn table(apps: &[(&str, &str, &[&str])]) -> Apps {
    Apps::default().replaced_by(document(1, apps)).unwrap().0
}

fn whys(result: Result<(Apps, Vec<Change>), Vec<Reason>>) -> Vec<String> {
    let mut whys: Vec<_> = result.map(|(next, _)| next.len()).unwrap_err().iter().map(Reason::to_string).collect();
    whys.sort();
    whys
}

#[test]
fn exact_beats_wildcard_and_longer_beats_shorter() {
    let table = table(&[
        ("exact", "o", &["a.b.example.com"]),
        ("long", "o", &["*.b.example.com"]),
        ("short", "o", &["*.example.com"]),
        ("bare", "o", &["example.com"]),
    ]);
    let find = |host: &str| table.find(host).map(|app| app.id.to_string());
    for (host, wanted) in [
        ("a.b.example.com", Some("exact")),
        ("c.b.example.com", Some("long")),
        ("x.y.b.example.com", Some("long")),
        ("b.example.com", Some("short")),
        ("x.example.com", Some("short")),
        ("example.com", Some("bare")),
        ("com", None),
        ("notexample.com", None),
        ("", None),
        (".", None),
        ("..example.com", Some("short")),
    ] {
        assert_eq!(find(host).as_deref(), wanted, "{host:?}");
    }
}

#[test]
fn a_host_belongs_to_one_app() {
    let apps = [("one", "o", &["x.example.com"] as &[&str]), ("two", "o", &["y.example.com", "x.example.com"])];
    assert_eq!(
        whys(Apps::default().replaced_by(document(1, &apps))),
        ["apps.two.hosts[1]: the host 'x.example.com' belongs to the app 'one'"]
    );
    let base = table(&[("one", "o", &["x.example.com"])]);
    let put = r#"{"generation":2,"base":1,"put":{"two":{"hosts":["x.example.com"],"instances":{}}}}"#;
    assert_eq!(whys(base.changed_by(delta(put))), ["put.two.hosts[0]: the host 'x.example.com' belongs to the app 'one'"]);
    assert_eq!(base.find("x.example.com").unwrap().id.as_str(), "one", "a refused change changes nothing");
}

#[test]
fn nobody_claims_a_host_below_another_owners_wildcard() {
    let below = [("wild", "a", &["*.example.com"] as &[&str]), ("host", "b", &["x.example.com"])];
    assert_eq!(
        whys(Apps::default().replaced_by(document(1, &below))),
        ["apps.host.hosts[0]: the host 'x.example.com' lies below '*.example.com' of the app 'wild', which has another owner"]
    );
    let base = table(&[("host", "b", &["x.example.com"])]);
    let put = r#"{"generation":2,"base":1,"put":{"wild":{"owner":"a","hosts":["*.example.com"],"instances":{}}}}"#;
    assert_eq!(
        whys(base.changed_by(delta(put))),
        ["put.wild.hosts[0]: 'x.example.com' below it belongs to the app 'host', which has another owner"]
    );
}

#[test]
fn a_host_moves_between_apps_in_one_delta_and_a_removed_app_frees_its_hosts() {
    let base = table(&[("one", "o", &["x.example.com", "z.example.com"]), ("two", "o", &["y.example.com"])]);
    let swap = delta(
        r#"{"generation":2,"base":1,"put":{
            "one":{"hosts":["y.example.com"],"instances":{}},"two":{"hosts":["x.example.com"],"instances":{}}}}"#,
    );
    let (next, changes) = base.changed_by(swap).unwrap();
    assert_eq!(next.find("x.example.com").unwrap().id.as_str(), "two");
    assert_eq!(next.find("y.example.com").unwrap().id.as_str(), "one");
    assert!(next.find("z.example.com").is_none());
    assert_eq!(changes.len(), 2);
    let (gone, changes) = next.changed_by(delta(r#"{"generation":3,"base":2,"remove":["one","nobody"]}"#)).unwrap();
    assert!(gone.find("y.example.com").is_none());
    assert_eq!((gone.len(), changes.len()), (1, 1));
    assert_eq!(next.len(), 2, "the table before is as it was");
}

#[test]
fn vitals_follow_an_instance_only_while_it_keeps_its_address() {
    let base = table(&[("one", "o", &["x.example.com"])]);
    let change = |address: &str| {
        delta(&format!(
            r#"{{"generation":2,"base":1,"put":{{"one":{{"hosts":["x.example.com"],"instances":{{"i":{{"address":"{address}","release":2}}}}}}}}}}"#
        ))
    };
    let before = Arc::clone(&base.get("one").unwrap().instances[0].vitals);
    let (same, _) = base.changed_by(change("10.0.0.1:3000")).unwrap();
    assert!(same.get("one").unwrap().has(&before), "another release at the same address");
    let (moved, _) = base.changed_by(change("10.0.0.2:3000")).unwrap();
    assert!(!moved.get("one").unwrap().has(&before), "the address may be another tenant's by now");
}

#[test]
fn the_hash_is_that_of_the_document_and_unchanged_apps_are_shared() {
    let apps = [("one", "o", &["x.example.com"] as &[&str]), ("two", "o", &["y.example.com"])];
    let base = table(&apps);
    assert_eq!(base.hash(), document(1, &apps).hash());
    let (next, changes) = base.replaced_by(document(2, &apps)).unwrap();
    assert!(changes.is_empty());
    assert!(Arc::ptr_eq(base.get("one").unwrap(), next.get("one").unwrap()));
    assert_ne!(base.hash(), next.hash(), "the stamp is part of the document");
}

#[test]
fn routing_agrees_with_a_naive_reference() {
    let mut random = fastrand::Rng::with_seed(7);
    let label = |random: &mut fastrand::Rng| ["a", "b", "c", "dd", "e-e"][random.usize(..5)].to_owned();
    let host = |random: &mut fastrand::Rng| {
        let labels: Vec<_> = (0..random.usize(1..5)).map(|_| label(random)).collect();
        labels.join(".")
    };
    for _ in 0..200 {
        let patterns: HashSet<String> =
            (0..random.usize(1..12)).map(|_| format!("{}{}", if random.bool() { "*." } else { "" }, host(&mut random))).collect();
        let patterns: Vec<_> = patterns.into_iter().enumerate().map(|(n, pattern)| (format!("app-{n}"), pattern)).collect();
        let list: Vec<_> = patterns
            .iter()
            .map(|(id, pattern)| format!(r#""{id}":{{"owner":"o","hosts":["{pattern}"],"instances":{{}}}}"#))
            .collect();
        let table = Apps::default()
            .replaced_by(from_json(&format!(r#"{{"generation":1,"apps":{{{}}}}}"#, list.join(","))).unwrap())
            .unwrap()
            .0;
        for _ in 0..50 {
            let asked = host(&mut random);
            let exact = patterns.iter().find(|(_, pattern)| *pattern == asked);
            let wildcards =
                patterns.iter().filter(|(_, pattern)| pattern.strip_prefix('*').is_some_and(|end| asked.ends_with(end)));
            let wanted = exact.or_else(|| wildcards.max_by_key(|(_, pattern)| pattern.len()));
            assert_eq!(
                table.find(&asked).map(|app| app.id.as_str()),
                wanted.map(|(id, _)| id.as_str()),
                "{asked} in {patterns:?}"
            );
        }
    }
}

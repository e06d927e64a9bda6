//! The contract from outside: frozen documents go on loading, and every mistake is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use karman_contract::answer::{Applied, Outcome, Refusal};
use karman_contract::app::{App, Expect};
use karman_contract::code::Code;
use karman_contract::document::{
    AppsDelta, AppsDocument, CertificatesDelta, CertificatesDocument, Document, KeysDocument, Page, PagesDocument, Stamp,
    from_json,
};
use karman_contract::event::{Event, EventKind};
use karman_contract::name::{ContentHash, Host, HostPattern};
use karman_contract::read::{At, Read, Reason};
use karman_contract::status::Status;
use karman_contract::yaml::read_yaml;

/// Documents that were written by released programs. They are never edited; new ones are added.
mod frozen {
    pub(crate) const APPS: &str = include_str!("frozen/apps-1.json");
    pub(crate) const APPS_DELTA: &str = include_str!("frozen/apps-delta-1.json");
    pub(crate) const PAGES: &str = include_str!("frozen/pages-1.json");
    pub(crate) const CERTIFICATES: &str = include_str!("frozen/certificates-1.json");
    pub(crate) const KEYS: &str = include_str!("frozen/keys-1.json");
    pub(crate) const STATUS: &str = include_str!("frozen/status-1.json");
}

#[test]
fn frozen_documents_go_on_loading() {
    let apps: AppsDocument = from_json(frozen::APPS).unwrap();
    assert_eq!(apps.stamp, Stamp { epoch: 1_766_476_800, generation: 42 });
    assert_eq!(apps.items.len(), 2);
    assert_eq!(apps.items["small"].owner.as_str(), "small", "the owner defaults to the id");
    assert_eq!(apps.items["todos"].instances["todos-7-a"].release, 7);

    let delta: AppsDelta = from_json(frozen::APPS_DELTA).unwrap();
    assert_eq!((delta.base, delta.stamp.generation, delta.force), (42, 43, true));
    assert_eq!(delta.put["notes"].health.as_ref().unwrap().expect, Expect::Statuses(vec![200, 204]));

    let pages: PagesDocument = from_json(frozen::PAGES).unwrap();
    assert_eq!(pages.items[&ContentHash::of(b"foo\n")], Page("foo\n".to_owned()));

    let certificates: CertificatesDocument = from_json(frozen::CERTIFICATES).unwrap();
    assert_eq!(certificates.items["c1"].names.len(), 1);
    assert_eq!(certificates.beside.challenges.alpn.len(), 1);

    let keys: KeysDocument = from_json(frozen::KEYS).unwrap();
    assert_eq!(keys.cookie[0].0.len(), 32);

    let status: Status = serde_json::from_str(frozen::STATUS).unwrap();
    assert_eq!(status.processes.len(), 2);
}

#[test]
fn the_canonical_form_is_sorted_has_its_defaults_and_reads_back() {
    let apps: AppsDocument = from_json(frozen::APPS).unwrap();
    let canonical = apps.to_json();
    assert_eq!(from_json::<AppsDocument>(&canonical).unwrap(), apps);
    assert!(canonical.contains(r#""timeouts":{"connect_seconds":3,"#), "defaults are filled in: {canonical}");

    // serde_json's own map is sorted: writing the text through it must change nothing.
    let sorted: serde_json::Value = serde_json::from_str(&canonical).unwrap();
    assert_eq!(canonical, sorted.to_string(), "the fields of a wire type stand in alphabetical order");
    assert_eq!(apps.hash().len(), 64);

    let pages: PagesDocument = from_json(frozen::PAGES).unwrap();
    assert_eq!(pages.to_json(), serde_json::from_str::<serde_json::Value>(&pages.to_json()).unwrap().to_string());
}

/// The hashes that the first proxy told of these. A field that is new is not in the canonical form of a document
/// that does not use it: a program of before, on the other side, would find another hash, or refuse the document.
#[test]
fn the_hash_of_an_old_document_stays() {
    let apps: AppsDocument = from_json(frozen::APPS).unwrap();
    assert_eq!(apps.hash(), "c4a0259c04ba3ed6aa9078628070a7b9ca9f81c71272be289e8774c97b6a1217", "{}", apps.to_json());
    let pages: PagesDocument = from_json(frozen::PAGES).unwrap();
    assert_eq!(pages.hash(), "61c2fd6cc962cf0e98b3f37fcd77d323facb5930c8e7e3eb056844a4632e1694", "{}", pages.to_json());
    let certificates: CertificatesDocument = from_json(frozen::CERTIFICATES).unwrap();
    assert_eq!(
        certificates.hash(),
        "50f78364028d40a0969bdc7fb10f70013aa988fe2932ad17bba2fb4b5eb2debc",
        "{}",
        certificates.to_json()
    );
    let keys: KeysDocument = from_json(frozen::KEYS).unwrap();
    assert_eq!(keys.hash(), "ee6dbf3db09d124089718ff7eea6fadeb56c55f5ebb34fab4089f0f06757c3ff");
}

#[test]
fn the_canonical_form_holds_what_stands_beside_the_items() {
    let certificates: CertificatesDocument = from_json(frozen::CERTIFICATES).unwrap();
    let canonical = certificates.to_json();
    assert_eq!(from_json::<CertificatesDocument>(&canonical).unwrap(), certificates);
    assert_eq!(canonical, serde_json::from_str::<serde_json::Value>(&canonical).unwrap().to_string());
    let without = CertificatesDocument::new(certificates.stamp, certificates.items.clone());
    assert_ne!(without.hash(), certificates.hash(), "an account is part of the content");
}

#[test]
fn a_delta_reads_back_what_it_wrote() {
    let delta: AppsDelta = from_json(frozen::APPS_DELTA).unwrap();
    let text = serde_json::to_string(&delta).unwrap();
    assert_eq!(from_json::<AppsDelta>(&text).unwrap(), delta);

    for beside in ["", r#","accounts":["thumb"]"#, r#","accounts":[],"challenges":{"alpn":{}}"#] {
        let text = format!(r#"{{"generation":2,"base":1,"put":{{}},"remove":["c1"]{beside}}}"#);
        let delta: CertificatesDelta = from_json(&text).unwrap();
        assert_eq!(delta.beside.accounts.is_some(), beside.contains("accounts"));
        assert_eq!(from_json::<CertificatesDelta>(&serde_json::to_string(&delta).unwrap()).unwrap(), delta);
    }
}

fn reasons<T: Read + std::fmt::Debug>(json: &str) -> Vec<String> {
    from_json::<T>(json).expect_err("the document has mistakes").iter().map(Reason::to_string).collect()
}

#[test]
fn every_mistake_of_a_document_is_named_at_once() {
    let found = reasons::<AppsDocument>(
        r#"{"generation":1,"colour":"red","apps":{
            "Bad_Id":{"hosts":["a.example.com"],"instances":{}},
            "one":{"hosts":["http://x/","ok.example.com"],"instances":{"i":{"address":"nowhere"}},"stat":"running","limits":{"queue":-1}},
            "two":{"instances":{},"sticky":"ip","timeouts":{"connect_seconds":"3"}}}}"#,
    );
    let wanted = [
        "apps.Bad_Id: found 'Bad_Id', wanted an app id",
        "apps.one.hosts[0]: found 'http://x/', wanted a host",
        "apps.one.instances.i.address: found 'nowhere', wanted an IP address and a port",
        "apps.one.limits.queue: found -1, wanted a number from 0 to",
        "apps.one.stat: there is no such field; known here:",
        "apps.two: the field 'hosts' is required",
        "apps.two.sticky: found 'ip', wanted one of cookie, none",
        "apps.two.timeouts.connect_seconds: found '3', wanted a number from 1 to 86400",
        "colour: there is no such field",
    ];
    for (index, start) in wanted.iter().enumerate() {
        assert!(found.iter().any(|reason| reason.starts_with(start)), "reason {index} '{start}' is missing in {found:#?}");
    }
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
}

#[test]
fn names_hold_only_what_is_well_formed() {
    let host = |text: &str| text.parse::<Host>().map(|host| host.to_string()).map_err(drop);
    let label_of_64 = format!("{}.example.com", "a".repeat(64));
    for (text, wanted) in [
        ("todos.example.com", Ok("todos.example.com")),
        ("TODOS.Example.com", Ok("todos.example.com")),
        ("127.0.0.1", Ok("127.0.0.1")),
        ("a_b.example.com", Ok("a_b.example.com")),
        ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
        ("bücher.example", Err(())),
        ("", Err(())),
        (".example.com", Err(())),
        ("example.com.", Err(())),
        ("-a.example.com", Err(())),
        ("a b.example.com", Err(())),
        ("example.com:80", Err(())),
        ("*.example.com", Err(())),
        (label_of_64.as_str(), Err(())),
    ] {
        assert_eq!(host(text), wanted.map(str::to_owned), "{text:?}");
    }
    assert_eq!("*.example.com".parse(), Ok(HostPattern::Below("example.com".parse().unwrap())));
    assert!("*.*.example.com".parse::<HostPattern>().is_err());
    assert!("a.*.example.com".parse::<HostPattern>().is_err());
    assert!("*".parse::<HostPattern>().is_err());
}

#[test]
fn a_page_must_have_the_hash_it_is_named_by() {
    let found = reasons::<Document<Page>>(
        r#"{"generation":1,"pages":{"sha256-b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c":"bar\n"}}"#,
    );
    assert!(found[0].contains("the text has the hash sha256-7d865e"), "{found:?}");
}

#[test]
fn a_delta_must_go_forward_and_not_contradict_itself() {
    let found = reasons::<AppsDelta>(
        r#"{"generation":5,"base":5,"put":{"a":{"hosts":["a.example.com"],"instances":{}}},"remove":["a"]}"#,
    );
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_key_is_never_shown() {
    let certificates: CertificatesDocument = from_json(frozen::CERTIFICATES).unwrap();
    let keys: KeysDocument = from_json(frozen::KEYS).unwrap();
    assert!(!format!("{certificates:?}").contains("PRIVATE"));
    let found = reasons::<CertificatesDocument>(
        r#"{"generation":1,"certificates":{"a":{"chain":"x","key":["PRIVATE"],"names":[]},"b/":{}}}"#,
    );
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(!format!("{found:?}").contains("PRIVATE"));
    assert!(!format!("{keys:?}").contains("AAEC"));
    let found = reasons::<KeysDocument>(r#"{"generation":1,"cookie":["c2VjcmV0"]}"#);
    assert!(!found[0].contains("c2VjcmV0"), "{found:?}");
}

#[test]
fn an_answer_carries_its_stable_name() {
    let applied = Applied { outcome: Outcome::Applied, stamp: Stamp { epoch: 0, generation: 42 }, saved: true };
    assert_eq!(serde_json::to_string(&applied).unwrap(), r#"{"outcome":"applied","epoch":0,"generation":42,"saved":true}"#);
    let refusal = Refusal::BaseMismatch { current: Stamp { epoch: 1, generation: 2 } };
    assert_eq!(serde_json::to_string(&refusal).unwrap(), r#"{"error":"base-mismatch","current":{"epoch":1,"generation":2}}"#);
    assert_eq!(serde_json::to_value(&refusal).unwrap()["error"], refusal.as_str());
}

#[test]
fn every_code_has_one_name() {
    for code in Code::ALL {
        assert_eq!(Code::from_name(code.as_str()), Some(*code));
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert!((400..=599).contains(&code.status()));
    }
    assert_eq!(Code::AppSuspended.shown_to_visitors(), Code::AppStopped);
}

#[test]
fn an_event_leaves_out_what_does_not_apply() {
    let event: Event =
        serde_json::from_str(r#"{"id":1,"at":"2026-11-23T08:00:00Z","edge":"e","event":"app-down","app":"todos"}"#).unwrap();
    assert_eq!(event.event, EventKind::AppDown);
    assert_eq!(
        serde_json::to_string(&event).unwrap(),
        r#"{"id":1,"at":"2026-11-23T08:00:00Z","edge":"e","event":"app-down","app":"todos"}"#
    );
}

#[derive(Debug)]
struct AppFile;

impl Read for AppFile {
    fn read(at: &At<'_>, reasons: &mut Vec<Reason>) -> Option<Self> {
        App::read(&"todos".parse().unwrap(), at, reasons).map(|_| Self)
    }
}

#[test]
fn a_yaml_file_shows_every_mistake_with_line_and_caret() {
    let text = "hosts: [todos.example.com]\nstate: runing\ninstances:\n  a: {address: 10.0.0.1}\nqueue: 5\n";
    let shown = read_yaml::<AppFile>("apps/todos.yaml", text).unwrap_err().to_string();
    assert_eq!(
        shown,
        "\
apps/todos.yaml:2:8: state: found 'runing', wanted one of running, asleep, maintenance, stopped, suspended
    2 | state: runing
      |        ^
apps/todos.yaml:4:16: instances.a.address: found '10.0.0.1', wanted an IP address and a port, such as '10.0.3.17:3000'
    4 |   a: {address: 10.0.0.1}
      |                ^
apps/todos.yaml:5:1: queue: there is no such field; known here: hosts, instances, deny, drain, health, https, limits, note, on_crash, owner, pages, sockjs, state, sticky, timeouts, warm_seconds
    5 | queue: 5
      | ^"
    );
}

#[test]
fn yaml_that_is_not_yaml_and_yaml_bombs_are_refused_with_a_place() {
    let shown = |text: &str| read_yaml::<AppFile>("f.yaml", text).unwrap_err().to_string();
    assert!(shown("hosts: [a\ninstances: {").starts_with("f.yaml:"), "{}", shown("hosts: [a\ninstances: {"));
    assert!(
        shown("hosts: [a.example.com]\nhosts: [b.example.com]\ninstances: {}").contains(":2:1: "),
        "{}",
        shown("hosts: [a]\nhosts: [b]\n")
    );
    assert!(shown("").contains("the field 'hosts' is required"));
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x]\n{}",
        ('b'..='i')
            .map(|c| {
                let before = (c as u8 - 1) as char;
                format!("{c}: &{c} [{}]\n", vec![format!("*{before}"); 9].join(","))
            })
            .collect::<String>()
    );
    assert!(shown(&bomb).contains("this is not YAML"), "{}", shown(&bomb));
}

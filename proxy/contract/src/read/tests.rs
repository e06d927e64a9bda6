//! Reading apart against reading the tree.

use crate::document::AppsDocument;
use crate::read::{Read, Reason, Unreadable, parse_json, read};

/// Reading apart is a matter of memory only: the same value, or the same reasons.
fn check(text: &str) {
    let apart = AppsDocument::read_json(text.as_bytes());
    let tree = parse_json(text.as_bytes()).map_err(Unreadable::from);
    let tree = tree.and_then(|node| read::<AppsDocument>(&node).map_err(Unreadable::Refused));
    assert_eq!(apart.map_err(in_order), tree.map_err(in_order), "{text}");
}

fn in_order(unreadable: Unreadable) -> Unreadable {
    let Unreadable::Refused(mut reasons) = unreadable else { return unreadable };
    reasons.sort_by(|a: &Reason, b: &Reason| (&a.at, &a.why).cmp(&(&b.at, &b.why)));
    Unreadable::Refused(reasons)
}

#[test]
fn a_document_read_apart_is_what_its_tree_would_be() {
    let app = r#"{"hosts":["a.example.com"],"instances":{"i":{"address":"127.0.0.1:1"}}}"#;
    let several = [
        "{}".to_owned(),
        format!(r#"{{"a":{app},"b":{app}}}"#),
        format!(r#"{{"a":{app},"a":{app}}}"#),
        format!(r#"{{"A!":{app},"b":{{"hosts":3,"instances":{{}},"colour":1}}}}"#),
        r#"{"a":5,"b":null}"#.to_owned(),
        "5".to_owned(),
        "null".to_owned(),
        "[1]".to_owned(),
    ];
    for apps in several {
        check(&format!(r#"{{"generation":1,"apps":{apps}}}"#));
        check(&format!(r#" {{"apps":{apps},"generation":"x","epoch":-1,"what":{{}}}}"#));
        check(&format!(r#"{{"apps":{apps},"generation":1,"apps":{apps}}}"#));
    }
    for text in ["", "{", "5", "[]", "null", r#"{"generation":1}"#, r#"{"generation":1,"apps":{"a":}}"#] {
        check(text);
    }
    check(r#"{"generation":1,"apps":{}} and more"#);
}

//! Hosts as clients write them.

use super::*;

#[test]
fn a_host_field_is_read_as_what_it_is() {
    let long = "a".repeat(254);
    for (field, wanted) in [
        ("todos.example.com", Some("todos.example.com")),
        ("Todos.Example.COM:8080", Some("todos.example.com")),
        ("todos.example.com.", Some("todos.example.com")),
        ("todos.example.com.:443", Some("todos.example.com")),
        ("todos.example.com:", Some("todos.example.com")),
        ("127.0.0.1:80", Some("127.0.0.1")),
        ("[::1]:80", Some("[::1]:80")),
        ("[::1]", Some("[::1]")),
        ("", None),
        (":80", None),
        (".", None),
        ("a b", None),
        ("user@host", None),
        ("host/path", None),
        ("a,b", None),
        ("host:99999", None),
        ("host:8o", None),
        ("host:+80", None),
        ("[::1", None),
        ("[::1]x", None),
        ("[nonsense]", None),
        ("b\u{fc}cher.example", None),
        (long.as_str(), None),
    ] {
        assert_eq!(host(field.as_bytes()).as_deref(), wanted, "{field:?}");
    }
    assert_eq!(host(b"\xff.example.com"), None);
}

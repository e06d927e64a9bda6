//! Hosts as clients write them.

use proptest::prelude::*;

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
        ("a..", None),
        ("a..example.com", None),
        (".example.com", None),
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

proptest! {
    /// Against the grammar, read the slow way.
    #[test]
    fn a_host_is_what_the_grammar_says(field in prop_oneof!["[a-zA-Z0-9._:@/ \\[\\]-]{0,40}", "\\PC{0,20}"]) {
        let is_name = |name: &str| {
            let name = name.strip_suffix('.').unwrap_or(name);
            let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            name.len() <= 253 && name.split('.').all(is_label)
        };
        let is_port = |port: &str| port.is_empty() || (port.chars().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok());
        let is_host = match field.rsplit_once(':') {
            _ if field.starts_with('[') => match field.find(']') {
                Some(end) => {
                    let port = &field[end + 1..];
                    field[1..end].parse::<std::net::Ipv6Addr>().is_ok() && (port.is_empty() || (port.starts_with(':') && is_port(&port[1..])))
                }
                None => false,
            },
            Some((name, port)) => is_name(name) && is_port(port),
            None => is_name(&field),
        };
        prop_assert_eq!(super::is_host(field.as_bytes()), is_host);
        if let Some(found) = host(field.as_bytes()) {
            prop_assert_eq!(host(found.as_bytes()), Some(found.clone()), "a host is its own host");
            prop_assert_eq!(found.to_ascii_lowercase(), found);
        }
    }
}

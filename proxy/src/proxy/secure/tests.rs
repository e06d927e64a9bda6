//! What a CA and a client without TLS are told.

use super::*;

#[test]
fn a_token_is_answered_with_the_thumbprint_of_the_account() {
    let accounts: Vec<Thumbprint> = ["first", "second"].map(|name| name.parse().unwrap()).to_vec();
    let long = "a".repeat(TOKEN_MAX + 1);
    for (token, wanted) in [
        ("tok-en_1", Some("tok-en_1.first")),
        ("", None),
        ("../x", None),
        ("a b", None),
        ("a/b", None),
        ("%41", None),
        (&long, None),
    ] {
        assert_eq!(proof(&format!("{CHALLENGE_PATH}{token}"), &accounts).as_deref(), wanted, "{token}");
    }
    assert_eq!(proof("/.well-known/acme-challenge/token", &[]), None, "without an account it is the app's path");
    assert_eq!(proof("/token", &accounts), None);
}

#[test]
fn the_way_to_https_keeps_the_path_and_names_a_port_only_where_it_must() {
    for (port, target, wanted) in [
        (None, "/a?b=c", "https://a.example.com/a?b=c"),
        (Some(443), "/", "https://a.example.com/"),
        (Some(8443), "/a", "https://a.example.com:8443/a"),
        (None, "*", "https://a.example.com/"),
        (None, "//evil.example", "https://a.example.com//evil.example"),
        (None, "http://evil.example/", "https://a.example.com/"),
    ] {
        assert_eq!(location("a.example.com", port, target), wanted);
    }
}

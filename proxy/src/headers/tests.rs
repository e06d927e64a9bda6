//! What an app and a client get to see, as tables.

use super::*;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn the_client_is_the_last_hop_that_is_not_trusted() {
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).to_vec();
    for (peer, forwarded, wanted) in [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "1.1.1.1, junk, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "1.1.1.1:4711", "1.1.1.1"),
        ("::ffff:10.0.0.1", "::ffff:1.1.1.1", "1.1.1.1"),
    ] {
        let hop = Hop { peer: peer.parse().unwrap(), port: 80, secure: false };
        let found = origin(hop, &headers(&[("x-forwarded-for", forwarded)]), &trusted);
        assert_eq!(found.client.to_string(), wanted, "{peer} says {forwarded:?}");
    }
}

#[test]
fn a_connection_is_secure_by_itself_or_by_the_word_of_a_trusted_proxy() {
    let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
    for (peer, secure, proto, wanted) in [
        ("203.0.113.9", false, "https", (false, 8080)),
        ("203.0.113.9", true, "http", (true, 443)),
        ("10.0.0.1", false, "https", (true, 443)),
        ("10.0.0.1", true, "http", (false, 8080)),
    ] {
        let hop = Hop { peer: peer.parse().unwrap(), port: 8080, secure };
        let found = origin(hop, &headers(&[("x-forwarded-proto", proto)]), &trusted);
        assert_eq!((found.secure, found.port), wanted, "{peer} {secure} says {proto}");
    }
    let hop = Hop { peer: "10.0.0.1".parse().unwrap(), port: 8443, secure: true };
    assert!(origin(hop, &HeaderMap::new(), &trusted).secure);
}

/// Proxies that add a word each say how they were reached, the nearest last. The word that counts is that of the proxy which
/// named the client: of those before it anybody may have written any. Fewer words were handed on, and so the first counts.
#[test]
fn how_the_client_came_is_said_by_the_proxy_that_names_it() {
    let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
    let hop = Hop { peer: "10.0.0.1".parse().unwrap(), port: 8080, secure: false };
    for (forwarded, protos, wanted) in [
        ("1.1.1.1", &["https"][..], true),
        ("1.1.1.1", &["HTTPS"], true),
        ("1.1.1.1", &["wss"], true),
        ("1.1.1.1", &["ws"], false),
        ("1.1.1.1, 10.0.0.2", &["https,http"], true),
        ("1.1.1.1, 10.0.0.2", &["https", "http"], true),
        ("1.1.1.1, 10.0.0.2", &["http, https"], false),
        ("1.1.1.1, 10.0.0.2", &["https"], true),
        ("1.1.1.1, 10.0.0.2", &["https, http, http"], false),
        ("1.1.1.1", &["https, http"], false),
        ("1.1.1.1, 2.2.2.2", &["https, http"], false),
        ("1.1.1.1, junk, 10.0.0.2", &["https, http"], false),
        ("10.0.0.3, 10.0.0.2", &["https, http"], true),
        ("", &["https, http"], false),
        ("", &["http, https"], true),
        ("1.1.1.1", &[""], false),
    ] {
        let fields = protos.iter().map(|proto| ("x-forwarded-proto", *proto)).chain([("x-forwarded-for", forwarded)]);
        let found = origin(hop, &headers(&fields.collect::<Vec<_>>()), &trusted);
        assert_eq!(found.secure, wanted, "{forwarded:?} by {protos:?}");
    }
}

#[test]
fn a_clients_request_id_is_kept_if_it_is_one() {
    let long = "x".repeat(129);
    for (own, kept) in
        [("abc-1.2_3", true), ("", false), ("a b", false), ("a\"b", false), (long.as_str(), false), (&long[1..], true)]
    {
        let id = request_id(Some(own.as_bytes()), || 0xabc);
        assert_eq!(id, if kept { own } else { "0000000000000abc" });
    }
    assert_eq!(request_id(None, || 1), "0000000000000001");
}

#[test]
fn an_app_sees_one_trusted_hop_and_nothing_of_ours() {
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    for (name, value) in [
        ("host", "todos.example.com:8080"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("proxy", "http://evil"),
        ("cookie", "a=b; karman=x"),
        ("cookie", "__Host-karman=x"),
        ("via", "1.0 fred"),
    ] {
        request.append_header(name, value).unwrap();
    }
    let origin = Origin { client: "1.1.1.1".parse().unwrap(), secure: false, port: 80 };
    for_app(&mut request, &origin, "id-1").unwrap();
    let all = |name: &str| request.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
    for (name, wanted) in [
        ("host", &["todos.example.com:8080"][..]),
        ("x-forwarded-for", &["1.1.1.1"]),
        ("x-real-ip", &["1.1.1.1"]),
        ("x-forwarded-proto", &["http"]),
        ("x-forwarded-host", &["todos.example.com:8080"]),
        ("x-forwarded-port", &["8080"]),
        ("x-request-id", &["id-1"]),
        ("cookie", &["a=b"]),
        ("via", &["1.0 fred", "1.1 karman"]),
        ("forwarded", &[]),
        ("proxy", &[]),
    ] {
        assert_eq!(all(name), wanted, "{name}");
    }
}

#[test]
fn an_answer_that_a_shared_cache_keeps_binds_nobody() {
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    for (fields, shared) in [
        (&[][..], false),
        (&[("cache-control", "public")], true),
        (&[("cache-control", "max-age=60")], true),
        (&[("cache-control", "max-age=0")], false),
        (&[("cache-control", "max-age=60, private")], false),
        (&[("cache-control", "private"), ("cache-control", "public")], false),
        (&[("cache-control", "no-store")], false),
        (&[("cache-control", "no-cache, max-age=5")], false),
        (&[("cache-control", "max-age=0, s-maxage=60")], true),
        (&[("cache-control", "Public, Max-Age=\"60\"")], true),
        (&[("expires", "Tue, 24 Nov 2026 13:00:00 GMT")], true),
        (&[("expires", "Tue, 24 Nov 2026 11:00:00 GMT")], false),
        (&[("expires", "0")], false),
        (&[("cache-control", "max-age=0"), ("expires", "Tue, 24 Nov 2026 13:00:00 GMT")], false),
    ] {
        assert_eq!(is_shared(&headers(fields), now), shared, "{fields:?}");
    }
}

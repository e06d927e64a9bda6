//! Who asks, and how long they wait.

use super::*;

fn caller(method: &str, path: &str, headers: &[(&'static str, &str)]) -> Caller {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect();
    Caller::of(&method.parse().unwrap(), path, &headers, Version::HTTP_11)
}

#[test]
fn callers_are_told_apart() {
    let upgrade = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
    let html = [("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    for (method, path, headers, wanted) in [
        ("GET", "/", &html[..], Caller::Navigation),
        ("POST", "/form", &html[..], Caller::Navigation),
        ("GET", "/", &[("accept", "*/*")][..], Caller::Api),
        ("GET", "/api/todos", &[][..], Caller::Api),
        ("GET", "/app.js", &[("accept", "*/*")][..], Caller::Asset),
        ("GET", "/a.b/c", &[][..], Caller::Api),
        ("POST", "/app.js", &[][..], Caller::Api),
        ("GET", "/websocket", &upgrade[..], Caller::Socket),
        ("GET", "/sockjs/000/abcdefgh/websocket", &upgrade[..], Caller::Socket),
        ("POST", "/websocket", &upgrade[..], Caller::Api),
        ("GET", "/websocket", &upgrade[1..], Caller::Api),
    ] {
        assert_eq!(caller(method, path, headers), wanted, "{method} {path} {headers:?}");
    }
}

#[test]
fn sockjs_paths_are_parsed_by_its_own_rules() {
    let transport = |session, transport| Some(SockJsPart::Transport { session, transport });
    for (path, wanted) in [
        ("/sockjs/info", Some(SockJsPart::Info)),
        ("/sockjs", Some(SockJsPart::Other)),
        ("/sockjs/iframe-1.html", Some(SockJsPart::Other)),
        ("/sockjs/123/abcdefgh/xhr", transport("abcdefgh", "xhr")),
        ("/sockjs/123/abcdefgh/websocket", transport("abcdefgh", "websocket")),
        ("/sockjs/1.3/abcdefgh/xhr", Some(SockJsPart::Other)),
        ("/sockjs/123//xhr", Some(SockJsPart::Other)),
        ("/sockjs/123/abcdefgh/xhr/more", Some(SockJsPart::Other)),
        ("/other/info", None),
        ("/sockjsinfo", None),
    ] {
        assert_eq!(SockJsPart::of(path, "/sockjs"), wanted, "{path}");
    }
    assert_eq!(SockJsPart::of("/app/sockjs/info", "/app/sockjs"), Some(SockJsPart::Info));
    assert_eq!(SockJsPart::of("/sockjs/1/s/websocket", "/sockjs").and_then(SockJsPart::polling_session), None);
    assert_eq!(SockJsPart::of("/sockjs/1/s/xhr_send", "/sockjs").and_then(SockJsPart::polling_session), Some("s"));
}

#[test]
fn each_caller_waits_as_long_as_its_client_does() {
    let transport = Some(SockJsPart::Transport { session: "s", transport: "websocket" });
    for (caller, part, down, starting) in [
        (Caller::Navigation, None, 0, 3_000),
        (Caller::Api, None, 0, 30_000),
        (Caller::Asset, None, 0, 30_000),
        (Caller::SockJs, Some(SockJsPart::Info), 5_000, 5_000),
        (Caller::SockJs, Some(SockJsPart::Other), 0, 30_000),
        (Caller::Socket, transport, 600, 8_000),
        (Caller::Socket, None, 8_000, 8_000),
    ] {
        let millis = |absence| hold(caller, part, absence).as_millis();
        assert_eq!((millis(Absence::Down), millis(Absence::Starting)), (down, starting), "{caller:?} {part:?}");
    }
}

//! HTTPS and HTTP/2 as clients see them: names, redirects, proofs, resumption, and programs that are not ours.

use std::process::Command;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use rustls::{AlertDescription, HandshakeKind};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::authority::{Authority, Client, leaf, shown};
use crate::rig::{Answer, App, Edge, HOST, exchange, until};

/// An edge that serves `todos` with a certificate for [`HOST`] and `todos.localhost`.
async fn served() -> (Edge, App, Authority) {
    let (edge, app, authority) = (Edge::start().await, App::start("a"), Authority::new());
    edge.put_todos(&[("a", app.address)]).await;
    assert_eq!(edge.put_certificates(&[("c", authority.issue(&[HOST, "todos.localhost"]))]).await.status, 200);
    (edge, app, authority)
}

async fn get(edge: &Edge, client: &Client, name: &str, host: &str, path: &str) -> Answer {
    let stream = client.connect(edge.https, name).await.unwrap();
    exchange(stream, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nx-request-id: one\r\nconnection: close\r\n\r\n"))
        .await
        .expect("an answer")
}

#[tokio::test]
async fn a_name_gets_its_own_certificate_and_never_another() {
    let (edge, authority) = (Edge::start().await, Authority::new());
    let exact = authority.issue(&["a.example.com"]);
    let wildcard = authority.issue(&["*.example.com"]);
    let idna = authority.issue(&["xn--bcher-kva.example"]);
    let address = authority.issue(&["127.0.0.1"]);
    let all = [("exact", exact.clone()), ("wild", wildcard.clone()), ("idna", idna.clone()), ("address", address.clone())];
    assert_eq!(edge.put_certificates(&all).await.status, 200);
    // L04: what a client may name, well or badly.
    let client = authority.client(&["http/1.1"]);
    for (name, item) in [
        ("a.example.com", &exact),
        ("A.Example.COM", &exact),
        ("b.example.com", &wildcard),
        ("xn--bcher-kva.example", &idna),
        // No SNI is sent for an address (RFC 6066 section 3): the address that was connected to is the name.
        ("127.0.0.1", &address),
    ] {
        let stream = client.connect(edge.https, name).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(shown(&stream), leaf(item), "{name}");
    }
    for name in ["b.a.example.com", "example.com", "nobody.test"] {
        assert_eq!(client.refused(edge.https, name).await, AlertDescription::UnrecognisedName, "{name}");
    }
    assert_eq!(edge.put_certificates(&[("exact", exact)]).await.status, 200);
    let mut silent = client.clone();
    silent.0.enable_sni = false;
    assert_eq!(silent.refused(edge.https, "a.example.com").await, AlertDescription::UnrecognisedName, "no name at all");
    // A client that sends the dot of the root against the standard; OpenSSL's does.
    let file = authority.save(edge.dir.path());
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &edge.https.to_string(), "-servername", "a.example.com.", "-CAfile", &file])
        .args(["-verify_return_error", "-alpn", "h2", "-brief"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("Verification: OK"), "{said}");
}

#[tokio::test]
async fn ecdsa_goes_first_and_rsa_to_who_knows_nothing_else() {
    let (edge, authority) = (Edge::start().await, Authority::new());
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let items = [("rsa", authority.issue_with(&[HOST], &rsa, |_| {})), ("ecdsa", authority.issue(&[HOST]))];
    assert_eq!(edge.put_certificates(&items).await.status, 200);
    let file = authority.save(edge.dir.path());
    for (schemes, wanted) in [("ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256", "ECDSA"), ("rsa_pss_rsae_sha256", "RSA-PSS")] {
        for version in ["-tls1_2", "-tls1_3"] {
            // The signatures on the certificates themselves are ECDSA: only the handshake's are limited.
            let output = Command::new("openssl")
                .args(["s_client", "-connect", &edge.https.to_string(), "-servername", HOST, "-CAfile", &file, "-brief"])
                .args(["-sigalgs", schemes, version])
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(&format!("Signature type: {wanted}")), "{schemes} {version}: {said}");
        }
    }
}

#[tokio::test]
async fn an_app_learns_that_the_client_came_by_https() {
    let (edge, _app, authority) = served().await;
    let client = authority.client(&["http/1.1"]);
    let answer = get(&edge, &client, HOST, HOST, "/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.cookie().unwrap().starts_with("__Host-karman="), "{:?}", answer.headers);
    assert!(answer.header("set-cookie").unwrap().contains("; Secure"));
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=2592000"));
    let line = edge.lines_of("one", 1).await.remove(0);
    assert_eq!((line["tls"].as_str(), line["status"].as_u64()), (Some("1.3"), Some(200)));
    let headers = get(&edge, &client, HOST, HOST, "/api/headers").await.text();
    for (name, value) in [("x-forwarded-proto", "https"), ("x-forwarded-port", "443"), ("x-forwarded-for", "127.0.0.1")] {
        assert!(headers.contains(name) && headers.contains(value), "{name} {value} in {headers}");
    }
}

#[tokio::test]
async fn a_host_is_asked_for_only_where_its_certificate_was_shown() {
    let (edge, app, authority) = (Edge::start().await, App::start("a"), Authority::new());
    let apps = json!({"generation": 1, "apps": {
        "one": {"hosts": ["one.example.com"], "instances": {"i": {"address": app.address.to_string()}}},
        "two": {"hosts": ["two.example.com", "three.example.com"], "instances": {"i": {"address": app.address.to_string()}}},
    }});
    assert_eq!(edge.admin("PUT", "/v1/apps", &apps.to_string()).await.status, 200);
    let both =
        [("both", authority.issue(&["one.example.com", "two.example.com"])), ("three", authority.issue(&["three.example.com"]))];
    assert_eq!(edge.put_certificates(&both).await.status, 200);
    // L05: a certificate for one host, a request for another.
    let client = authority.client(&["http/1.1"]);
    for (host, status, code) in [
        ("one.example.com", 200, ""),
        ("TWO.example.com.:443", 200, ""),
        ("three.example.com", 421, "misdirected"),
        ("nobody.example.com", 421, "misdirected"),
    ] {
        let answer = get(&edge, &client, "one.example.com", host, "/").await;
        assert_eq!((answer.status, answer.code()), (status, code), "{host}");
    }
    // One HTTP/2 connection carries two hosts; a browser does so when the certificate allows it.
    let stream = authority.client(&["h2"]).connect(edge.https, "one.example.com").await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (host, status) in
        [("one.example.com", 200), ("two.example.com", 200), ("three.example.com", 421), ("one.example.com", 200)]
    {
        let request = http::Request::get(format!("https://{host}/")).body(()).unwrap();
        let (answer, _) = client.clone().ready().await.unwrap().send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), status, "{host} on HTTP/2");
    }
}

/// Reads an answer of HTTP/2 that should be a good one.
async fn read(answer: http::Response<h2::RecvStream>) -> Vec<u8> {
    assert_eq!(answer.status(), 200);
    let (mut received, mut body) = (Vec::new(), answer.into_body());
    while let Some(piece) = tokio::time::timeout(crate::rig::SOON, body.data()).await.expect("more of the body") {
        let piece = piece.unwrap();
        received.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    received
}

#[tokio::test]
async fn http2_carries_bodies_both_ways() {
    let (edge, _app, authority) = served().await;
    let stream = authority.client(&["h2", "http/1.1"]).connect(edge.https, HOST).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let body = Bytes::from(vec![b'x'; 300_000]);
    let mut asked = Vec::new();
    for _ in 0..8 {
        let request = http::Request::post(format!("https://{HOST}/api/echo")).body(()).unwrap();
        let (answer, mut sender) = client.clone().ready().await.unwrap().send_request(request, false).unwrap();
        sender.send_data(body.clone(), true).unwrap();
        // All at once: they share the window of their connection.
        asked.push(tokio::spawn(async move { read(answer.await.unwrap()).await }));
    }
    for answer in asked {
        assert_eq!(answer.await.unwrap().len(), 300_000);
    }
}

#[tokio::test]
async fn http_becomes_https_only_once_there_is_a_certificate() {
    let (edge, app, authority) = (Edge::start().await, App::start("a"), Authority::new());
    let instances = crate::rig::instances_json(&[("a", app.address)]);
    let location = async |path: &str, headers: &str| {
        let answer = edge.get(path, headers).await;
        (answer.status, answer.header("location").map(str::to_owned))
    };
    edge.put_app(&instances, "").await;
    assert_eq!(location("/a?b=c", "").await, (200, None), "auto: there is no certificate yet");
    assert_eq!(edge.get("/", "").await.header("strict-transport-security"), None);
    edge.put_app(&instances, r#","https":"redirect""#).await;
    assert_eq!(location("/a?b=c", "").await, (308, Some(format!("https://{HOST}/a?b=c"))), "redirect: always");
    edge.put_app(&instances, "").await;
    assert_eq!(edge.put_certificates(&[("c", authority.issue(&[HOST]))]).await.status, 200);
    assert_eq!(location("/a?b=c", "").await, (308, Some(format!("https://{HOST}/a?b=c"))), "auto: now there is");
    assert_eq!(edge.post("/a", "", "body").await.status, 308);
    edge.put_app(&instances, r#","https":"allow""#).await;
    assert_eq!(location("/a", "").await, (200, None), "allow: never");
    let answer = get(&edge, &authority.client(&["http/1.1"]), HOST, HOST, "/").await;
    assert_eq!(answer.header("strict-transport-security"), None, "whoever allows HTTP does not forbid it");
    // Who named our own port for HTTP is told our own port for HTTPS.
    edge.put_app(&instances, "").await;
    let port = edge.http.port();
    let answer = edge.ask(&format!("GET /a HTTP/1.1\r\nhost: {HOST}:{port}\r\nconnection: close\r\n\r\n")).await;
    assert_eq!(answer.header("location").unwrap(), format!("https://{HOST}:{}/a", edge.https.port()));
}

#[tokio::test]
async fn a_proxy_in_front_that_came_by_https_is_not_sent_there() {
    let (edge, app) = (Edge::start_with("trusted_proxies: [\"127.0.0.0/8\"]").await, App::start("a"));
    edge.put_app(&crate::rig::instances_json(&[("a", app.address)]), r#","https":"redirect""#).await;
    assert_eq!(edge.get("/", "x-forwarded-proto: https\r\n").await.status, 200);
    assert_eq!(edge.get("/", "x-forwarded-proto: http\r\n").await.status, 308);
}

/// L12.
#[tokio::test]
async fn a_ca_gets_its_proof_before_anything_else_of_the_app() {
    let (edge, authority) = (Edge::start().await, Authority::new());
    let stopped = r#","https":"redirect","state":"stopped","deny":[{"net":"127.0.0.0/8"}]"#;
    edge.put_app("{}", stopped).await;
    let put = async |generation: u64, body: &str| {
        let body = format!(r#"{{"generation":{generation},"certificates":{{}},{body}}}"#);
        edge.admin("PUT", "/v1/certificates", &body).await.status
    };
    let path = "/.well-known/acme-challenge/Token_1-x";
    assert_eq!(edge.get(path, "").await.status, 308, "without an account it is a path like any other");
    assert_eq!(put(1, r#""accounts":["thumb-1","thumb-2"]"#).await, 200);
    let answer = edge.get(path, "").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "Token_1-x.thumb-1"));
    let stranger = format!("GET {path} HTTP/1.1\r\nhost: nobody.example\r\nconnection: close\r\n\r\n");
    assert_eq!(edge.ask(&stranger).await.code(), "unknown-host", "only for hosts that are ours");
    assert_eq!(edge.get("/.well-known/acme-challenge/a%2fb", "").await.status, 308);

    let challenge = authority.issue(&[HOST]);
    let alpn = json!({"alpn": {HOST: {"chain": challenge["chain"], "key": challenge["key"]}}});
    assert_eq!(put(2, &format!(r#""challenges":{alpn}"#)).await, 200);
    let mut stream = authority.client(&["acme-tls/1"]).connect(edge.https, HOST).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    assert_eq!(shown(&stream), leaf(&challenge));
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "and that is all (RFC 8737 section 3)");
    let ordinary = authority.client(&["http/1.1"]).refused(edge.https, HOST).await;
    assert_eq!(ordinary, AlertDescription::UnrecognisedName, "a proof is nobody's certificate");
    until("it is counted", async || edge.probe("/metrics").await.text().contains(r#"{outcome="challenge"} 1"#)).await;
}

#[tokio::test]
async fn sessions_are_resumed_at_another_edge_and_after_an_upgrade() {
    let (mut one, two) = (Edge::start().await, Edge::start().await);
    let authority = Authority::new();
    let item = authority.issue(&[HOST]);
    let key = |byte: u8| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [byte; 32]);
    let keys = |generation: u64, ticket: &[u8]| {
        let ticket: Vec<_> = ticket.iter().map(|byte| key(*byte)).collect();
        json!({"generation": generation, "cookie": [key(9)], "ticket": ticket}).to_string()
    };
    for edge in [&one, &two] {
        assert_eq!(edge.put_certificates(&[("c", item.clone())]).await.status, 200);
        assert_eq!(edge.admin("PUT", "/v1/keys", &keys(1, &[1])).await.status, 200);
    }
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = authority.client_of(version);
        let kind = async |edge: &Edge| {
            let mut stream = client.connect(edge.https, HOST).await.unwrap();
            // A ticket comes with the first bytes of an answer.
            stream.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            stream.get_ref().1.handshake_kind().unwrap()
        };
        assert_eq!(kind(&one).await, HandshakeKind::Full);
        assert_eq!(kind(&one).await, HandshakeKind::Resumed);
        assert_eq!(kind(&two).await, HandshakeKind::Resumed, "{version:?}: at another edge with the same keys");
        crate::rig::end(&mut one.upgrade().await);
        assert_eq!(kind(&one).await, HandshakeKind::Resumed, "{version:?}: at the next process");
    }
    assert_eq!(two.admin("PUT", "/v1/keys", &keys(2, &[2, 1])).await.status, 200);
    let client = authority.client_of(&rustls::version::TLS12);
    let kind = async |edge: &Edge| client.connect(edge.https, HOST).await.unwrap().get_ref().1.handshake_kind().unwrap();
    assert_eq!((kind(&one).await, kind(&two).await), (HandshakeKind::Full, HandshakeKind::Resumed), "rotated, and kept");
    assert_eq!(two.admin("PUT", "/v1/keys", &keys(3, &[3])).await.status, 200);
    assert_eq!(kind(&two).await, HandshakeKind::Full, "its key is gone");
}

#[tokio::test]
async fn a_tunnel_runs_in_tls_and_outlives_an_upgrade_of_its_edge() {
    let (mut edge, _app, authority) = served().await;
    let stream = authority.client(&["http/1.1"]).connect(edge.https, HOST).await.unwrap();
    let request = format!("wss://{HOST}/websocket").into_client_request().unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let mut previous = edge.upgrade().await;
    socket.send(Message::text(r#"{"msg":"connect","version":"1","support":["1"]}"#)).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().to_text().unwrap().contains("connected"));
    assert_eq!(get(&edge, &authority.client(&["http/1.1"]), HOST, HOST, "/").await.status, 200, "at the next process");
    socket.close(None).await.unwrap();
    drop(socket);
    until("the previous process goes with it", async || previous.try_wait().unwrap().is_some()).await;
}

#[tokio::test]
async fn an_http2_connection_is_told_to_go_when_the_edge_stops() {
    let (mut edge, _app, authority) = served().await;
    let stream = authority.client(&["h2"]).connect(edge.https, HOST).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let ended = tokio::spawn(connection);
    let request = http::Request::get(format!("https://{HOST}/api/slow?ms=1000")).body(()).unwrap();
    let (answer, _) = client.clone().ready().await.unwrap().send_request(request, true).unwrap();
    until("the app has the request", async || edge.instance("a").await["in_flight"] == 1).await;
    crate::rig::signal(&edge.process, "TERM");
    until("it is told to go, while its request goes on", async || {
        client.clone().ready().await.is_err_and(|e| e.is_go_away() && e.reason() == Some(h2::Reason::NO_ERROR))
    })
    .await;
    assert_eq!(answer.await.unwrap().status(), 200, "what was asked is answered");
    drop(client);
    let ended = ended.await.unwrap();
    // The edge closes as soon as all is answered: what the client says of its own end may find nobody.
    assert!(ended.as_ref().err().is_none_or(h2::Error::is_io), "{ended:?}");
    let status = tokio::task::spawn_blocking(move || edge.process.wait().map(|status| (status, edge))).await.unwrap().unwrap();
    assert_eq!(status.0.code(), Some(0));
}

#[tokio::test]
async fn a_storm_on_one_name_waits_for_its_turn_and_nobody_else_does() {
    let (edge, authority) =
        (Edge::start_with("limits: {handshakes_per_second_name: 4, handshake_seconds: 2}").await, Authority::new());
    let items = [("storm", authority.issue(&["storm.example.com"])), ("calm", authority.issue(&["calm.example.com"]))];
    assert_eq!(edge.put_certificates(&items).await.status, 200);
    let client = authority.client(&["http/1.1"]);
    let storm: Vec<_> = (0..40)
        .map(|_| {
            let (client, https) = (client.clone(), edge.https);
            tokio::spawn(async move { client.connect(https, "storm.example.com").await.is_ok() })
        })
        .collect();
    client.connect(edge.https, "calm.example.com").await.unwrap();
    let mut served = 0;
    for handshake in storm {
        served += usize::from(handshake.await.unwrap());
    }
    assert!((5..=14).contains(&served), "4 a second for 2 s, and a few at once: {served}");
    until("the others are counted", async || {
        let metrics = edge.probe("/metrics").await.text();
        metrics.contains(&format!("karman_handshakes_total{{outcome=\"over-limit\"}} {}", 40 - served))
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_finish_a_handshake_is_let_go() {
    let (edge, authority) = (Edge::start_with("limits: {handshake_seconds: 1}").await, Authority::new());
    assert_eq!(edge.put_certificates(&[("c", authority.issue(&[HOST]))]).await.status, 200);
    // L07, T16: silence, a hello that breaks off, what is no TLS.
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 600]] {
        let mut stream = TcpStream::connect(edge.https).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let ended = tokio::time::timeout(crate::rig::SOON, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{sent:?}");
    }
    until("they are counted", async || {
        let metrics = edge.probe("/metrics").await.text();
        metrics.contains(r#"{outcome="timed-out"} 2"#) && metrics.contains(r#"{outcome="failed"} 2"#)
    })
    .await;
}

/// Row L07 of `proxy/BAD-INPUT.md`: more of them than there may be handshakes at once.
#[tokio::test]
async fn a_network_whose_handshakes_are_never_finished_holds_up_no_other() {
    let settings = "limits: {handshakes: 16, handshake_seconds: 60, handshakes_per_second_network: 0}";
    let (edge, authority) = (Edge::start_with(settings).await, Authority::new());
    assert_eq!(edge.put_certificates(&[("c", authority.issue(&[HOST]))]).await.status, 200);
    let client = authority.client(&["http/1.1"]);
    let mut unfinished = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(edge.https).await.unwrap();
        stream.write_all(&client.hello(HOST)).await.unwrap();
        unfinished.push(stream);
    }
    // One of them is answered: it has the place of its network.
    unfinished[0].readable().await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.1.1:0".parse().unwrap()).unwrap();
    let stream = socket.connect(edge.https).await.unwrap();
    let other = tokio::time::timeout(crate::rig::SOON, client.connect_over(stream, HOST)).await;
    other.expect("it waits for nobody").unwrap();
}

#[tokio::test]
async fn curl_reaches_the_app_by_https_on_both_versions() {
    let (edge, _app, authority) = served().await;
    let file = authority.save(edge.dir.path());
    for (option, version, tls) in
        [("--http1.1", "1.1", "--tlsv1.3"), ("--http2", "2", "--tlsv1.2"), ("--http2", "2", "--tlsv1.3")]
    {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--cacert", &file, option, tls, "--max-time", "20"])
            .args(["--connect-to", &format!("{HOST}:443:127.0.0.1:{}", edge.https.port())])
            .args(["--output", "/dev/null", "--write-out", "%{http_code} %{http_version}", &format!("https://{HOST}/")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, format!("200 {version}"), "{option}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn old_tls_and_protocols_that_we_do_not_speak_are_refused() {
    let (edge, _app, authority) = served().await;
    // L06: nothing offered is HTTP/1.1; what we do not speak is refused, not ignored (RFC 7301 section 3.2).
    let answer = get(&edge, &authority.client(&[]), HOST, HOST, "/").await;
    assert_eq!(answer.status, 200);
    for protocol in ["spdy/3", "acme-tls/1", "h3"] {
        let alert = authority.client(&[protocol]).refused(edge.https, HOST).await;
        let wanted = [AlertDescription::NoApplicationProtocol, AlertDescription::UnrecognisedName];
        assert!(wanted.contains(&alert), "{protocol}: {alert:?}");
    }
    until("they are counted", async || {
        edge.probe("/metrics").await.text().contains(r#"karman_handshakes_total{outcome="unknown-name"} 1"#)
    })
    .await;
    let said = std::fs::read_to_string(edge.dir.path().join("edge.log")).unwrap();
    assert!(!said.contains("certificate-missing"), "it has one: {said}");
    // L07: an alert for versions that are gone, and no early data.
    let file = authority.save(edge.dir.path());
    for version in ["-tls1", "-tls1_1"] {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &edge.https.to_string(), "-servername", HOST, "-CAfile", &file])
            .args(["-cipher", "ALL:@SECLEVEL=0", version])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = [output.stderr, output.stdout].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!output.status.success() && said.contains(" alert "), "{version}: {said}");
    }
    let client = authority.client_of(&rustls::version::TLS13);
    for _ in 0..2 {
        assert_eq!(get(&edge, &client, HOST, HOST, "/").await.status, 200);
    }
    let mut early = client.0.clone();
    early.enable_early_data = true;
    let mut session =
        rustls::ClientConnection::new(std::sync::Arc::new(early), rustls::pki_types::ServerName::try_from(HOST).unwrap())
            .unwrap();
    assert!(session.early_data().is_none(), "no ticket allows it");
    // An SSLv2 hello, and renegotiation, which rustls has no word for: neither is TLS of ours.
    let mut stream = TcpStream::connect(edge.https).await.unwrap();
    stream.write_all(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80\x03\x00\x80").await.unwrap();
    let mut said = Vec::new();
    tokio::time::timeout(crate::rig::SOON, stream.read_to_end(&mut said)).await.expect("it is closed").unwrap();
    assert!(said.first().is_none_or(|first| *first == 0x15), "an alert or nothing: {said:?}");
}

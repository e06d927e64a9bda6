//! Row L02 on HTTP/2: uploads that drip, that fall silent, and whose app is the slow one.

use std::time::{Duration, Instant};

use karman_faults::{OK, Scripted};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Served;
use super::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, request};
use crate::authority::Authority;
use crate::rig::{Edge, HOST, instances_json, until};

/// More than fits between a client and an app that takes nothing.
const UPLOAD_BYTES: usize = 32 << 20;

/// L02: an upload whose app takes nothing for longer than its client may pause is not its client's fault.
#[tokio::test]
async fn a_slow_app_is_not_the_clients_fault_on_http2() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        if heads.read(&mut stream).await {
            // Long enough, and all that lies between here and the client is full.
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            let mut left = UPLOAD_BYTES;
            let mut space = vec![0; 65_536];
            while left > 0 {
                left -= stream.read(&mut space).await.unwrap();
            }
            stream.write_all(OK).await.unwrap();
        }
    });
    let (edge, authority) = (Edge::start_with("limits: {body_pause_seconds: 1}").await, Authority::new());
    edge.put_app(&instances_json(&[("a", app.address)]), r#","limits":{"body_bytes":0}"#).await;
    assert_eq!(edge.put_certificates(&[("c", authority.issue(&[HOST]))]).await.status, 200);
    let stream = authority.client(&["h2"]).connect(edge.https, HOST).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let post = http::Request::post(format!("https://{HOST}/upload")).header("content-length", UPLOAD_BYTES).body(()).unwrap();
    let (answer, mut body) = client.send_request(post, false).unwrap();
    let upload = async {
        let mut left = UPLOAD_BYTES;
        while left > 0 {
            body.reserve_capacity(left.min(65_536));
            let Some(Ok(room)) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await else { break };
            left -= room;
            if body.send_data(vec![0; room].into(), left == 0).is_err() {
                break;
            }
        }
    };
    let (answer, ()) = tokio::join!(answer, upload);
    assert_eq!(answer.unwrap().status(), 200);
    driver.abort();
}

#[tokio::test]
async fn a_body_that_drips_on_http2_is_cut() {
    let served = Served::start("limits: {body_pause_seconds: 1, body_bytes_per_second_min: 100}").await;
    let mut raw = served.open().await;
    // L02: ten bytes a second, and meanwhile another request of the same connection is served.
    let post = request("POST", "/", &[("content-length", "1000"), ("x-request-id", "drip")]);
    assert!(raw.send(HEADERS, END_HEADERS, 1, &post).await);
    let mut sent = 0;
    let line = loop {
        if let Some(line) = served.edge.log().into_iter().find(|line| line["request_id"] == "drip") {
            break line;
        }
        assert_eq!(served.app.connections(), 0, "it is nobody's request yet");
        assert!(sent < 500, "the drip goes on");
        assert!(raw.send(DATA, 0, 1, b"y").await);
        sent += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((line["code"].as_str(), line["why"].as_str()), (Some("request-timeout"), Some("a body that came too slowly")));
    assert!(raw.send(HEADERS, END_HEADERS | END_STREAM, 3, &request("GET", "/after", &[])).await);
    let mut outcomes = vec![raw.outcome().await.unwrap()];
    while outcomes.last().is_some_and(|last| last.stream != 3) {
        outcomes.push(raw.outcome().await.expect("the connection goes on"));
    }
    assert_eq!(outcomes.last().map(|last| (last.kind, last.status())), Some((HEADERS, 200)), "{outcomes:?}");
    assert!(outcomes.iter().any(|frame| frame.stream == 1), "and the drip has its end: {outcomes:?}");
    assert!(served.app.since(0).iter().all(|message| message.contains("/after")), "the app saw no whole request");
}

/// L02: before it is a request, and in the middle of one.
#[tokio::test]
async fn an_upload_that_falls_silent_on_http2_has_an_end() {
    let served = Served::start("limits: {body_pause_seconds: 1}").await;
    let timeouts = r#","timeouts":{"first_byte_seconds":2,"idle_seconds":2}"#;
    served.edge.put_app(&instances_json(&[("a", served.app.address)]), timeouts).await;
    let mut raw = served.open().await;
    for (stream, id, sent, instance, limit) in [(1, "nothing", 0, None, 1), (3, "half", 5_000, Some("a"), 2)] {
        let start = Instant::now();
        let post = request("POST", "/", &[("content-length", "10000"), ("x-request-id", id)]);
        assert!(raw.send(HEADERS, END_HEADERS, stream, &post).await);
        if sent > 0 {
            assert!(raw.send(DATA, 0, stream, &vec![b'y'; sent]).await);
        }
        let line = &served.edge.lines_of(id, 1).await[0];
        let end = (line["status"].as_u64(), line["code"].as_str(), line["why"].as_str());
        assert_eq!(end, (Some(408), Some("request-timeout"), Some("a body that came too slowly")), "{id}");
        assert_eq!(line["instance"].as_str(), instance, "{id}");
        let limit = Duration::from_secs(limit);
        assert!((limit..limit + Duration::from_secs(2)).contains(&start.elapsed()), "{id}: {:?}", start.elapsed());
        while raw.outcome().await.expect("its client is told").stream != stream {}
        served.serves().await;
    }
    assert!(served.app.since(0).iter().all(|message| message.contains("/bystander")), "the app saw no whole request");
}

/// L02: a body without a length may be one side of a conversation, and each piece of it is the app's at once.
#[tokio::test]
async fn a_body_without_a_length_goes_on_as_it_comes_on_http2() {
    let served = Served::start("").await;
    let mut raw = served.open().await;
    for (stream, pieces) in [(1, 3), (3, 0)] {
        let before = served.app.count();
        assert!(raw.send(HEADERS, END_HEADERS, stream, &request("POST", "/", &[])).await);
        for _ in 0..pieces {
            assert!(raw.send(DATA, 0, stream, b"piece").await);
        }
        until("the app hears of it", async || served.edge.instance("a").await["in_flight"] == 1).await;
        assert!(raw.send(DATA, END_STREAM, stream, b"last").await);
        while raw.outcome().await.unwrap().stream != stream {}
        let seen = served.app.since(before).concat();
        assert!(seen.contains("last") && seen.matches("piece").count() == pieces, "{seen}");
    }
}

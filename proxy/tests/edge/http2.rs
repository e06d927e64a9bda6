//! HTTP/2 that no library would send, row by row of `proxy/BAD-INPUT.md`.

#[path = "http2/frames.rs"]
mod frames;
#[path = "http2/unkept.rs"]
mod unkept;
#[path = "http2/uploads.rs"]
mod uploads;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use karman_faults::{OK, Scripted};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use self::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE,
    fields, frame, request, text,
};
use crate::authority::Authority;
use crate::border::{counts, difference, refusals};
use crate::rig::{Edge, HOST, instances_json, until};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// An edge with one app that notes what it gets.
struct Served {
    edge: Edge,
    app: Scripted,
    authority: Authority,
}

/// What anybody can see of what a client did, but for the bystander's.
struct Watched<T> {
    outcome: T,
    log: Vec<Value>,
    at_app: Vec<String>,
}

impl Served {
    async fn start(settings: &str) -> Self {
        let (edge, app, authority) = (Edge::start_with(settings).await, Scripted::answering(OK), Authority::new());
        edge.put_app(&instances_json(&[("a", app.address)]), "").await;
        assert_eq!(edge.put_certificates(&[("c", authority.issue(&[HOST]))]).await.status, 200);
        Self { edge, app, authority }
    }

    async fn open(&self) -> Raw {
        Raw::open(&self.edge, &self.authority).await
    }

    /// Sends one block of fields as a whole request, which has to be refused: no good answer, nothing at the app, a line in the
    /// log for what is counted and for nothing else, and somebody else served meanwhile.
    async fn refuses(&self, block: &[u8]) -> Result<(), String> {
        let (lines, read, counted) = (self.edge.log().len(), self.app.count(), refusals(&self.edge).await);
        let mut raw = self.open().await;
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, block).await;
        let outcome = raw.outcome().await;
        self.serves().await;
        let counted = difference(&counted, &refusals(&self.edge).await);
        until("all have their line in the log", async || self.edge.log().len() > lines + counted.len()).await;
        let told: Vec<_> = self.edge.log().into_iter().skip(lines).filter(|line| line["path"] != "/bystander").collect();
        let codes: Vec<_> = told.iter().map(|line| (line["code"].as_str().unwrap_or_default().to_owned(), 1)).collect();
        let seen: Vec<_> = self.app.since(read).into_iter().filter(|message| !message.contains("/bystander")).collect();
        let is_answer = outcome.as_ref().is_some_and(|frame| frame.kind == HEADERS);
        let is_good = is_answer && outcome.as_ref().is_some_and(|frame| frame.status() == 200);
        if is_good || told.len() > usize::from(is_answer) || codes != counted || !seen.is_empty() {
            return Err(format!("{outcome:?}, in the log {told:?}, counted {counted:?}, at the app {seen:?}"));
        }
        Ok(())
    }

    /// Lets a client act on a connection of its own while somebody else is served, and says what came of it. Whatever it was,
    /// each request that was counted has its line, each refusal that was counted has its code there, and no other has.
    async fn watch<T>(&self, row: &str, act: impl AsyncFnOnce(&mut Raw) -> T) -> Watched<T> {
        let ((before, log), read) = (self.books().await, self.app.count());
        let lines = log.len();
        let mut raw = self.open().await;
        let (outcome, took) = tokio::join!(act(&mut raw), self.serves());
        drop(raw);
        assert!(took < Duration::from_secs(5), "{row}: a bystander waited {took:?}");
        until("nothing is in flight", async || self.edge.instance("a").await["in_flight"] == 0).await;
        let (after, mut log) = self.books().await;
        log.drain(..lines);
        let mut codes = BTreeMap::<String, u64>::new();
        for code in log.iter().filter_map(|line| line["code"].as_str()) {
            *codes.entry(code.to_owned()).or_default() += 1;
        }
        assert_eq!(difference(&before, &after), codes.into_iter().collect::<Vec<_>>(), "{row}: {log:?}");
        log.retain(|line| line["path"] != "/bystander");
        let at_app = self.app.since(read).into_iter().filter(|message| !message.contains("/bystander")).collect();
        Watched { outcome, log, at_app }
    }

    /// Refusals by code, and the log, once each request that was counted has its line.
    async fn books(&self) -> (BTreeMap<String, u64>, Vec<Value>) {
        let mut log = Vec::new();
        until("all that was counted has its line", async || {
            let requests = counts(&self.edge, "karman_requests_total", "class").await.into_values().sum::<u64>();
            log = self.edge.log();
            log.len() as u64 == requests
        })
        .await;
        (refusals(&self.edge).await, log)
    }

    /// Whether somebody who does nothing wrong is served, and how fast.
    async fn serves(&self) -> Duration {
        let start = Instant::now();
        let mut raw = self.open().await;
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/bystander", &[])).await;
        let answer = raw.outcome().await.expect("an answer");
        assert_eq!((answer.kind, answer.status()), (HEADERS, 200), "{answer:?}");
        start.elapsed()
    }

    /// The memory of the proxy, in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.edge.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

#[tokio::test]
async fn what_two_readers_could_read_differently_is_refused_on_http2_too() {
    let served = Served::start("").await;
    let of = |method: &[u8], scheme: &[u8], authority: &[u8], path: &[u8]| {
        fields(&[(&b":method"[..], method), (b":scheme", scheme), (b":authority", authority), (b":path", path)])
    };
    let host = HOST.as_bytes();
    let with = |name: &str, value: &str| request("GET", "/", &[(name, value)]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("T01", with("x-a", "b\r\nx-c: d")),
        ("T01", with("x-a", "b\nc")),
        ("T01", with("x-a", "b\0c")),
        ("T01", with("x-a\r\nx-b", "c")),
        ("T01", with("x:a", "b")),
        ("T01", with("x a", "b")),
        ("T01", with("X-Upper", "b")),
        ("T01", with("", "b")),
        ("T01", of(b"GET", b"https", host, b"/\r\nx: y")),
        ("T01", of(b"GET", b"https", host, b"/\0")),
        ("T01", of(b"GE\r\nT", b"https", host, b"/")),
        ("T01", of(b"GET", b"https", b"todos.example.com\r\nx: y", b"/")),
        ("T01", with(":path", "/twice")),
        ("T01", with(":status", "200")),
        ("T01", fields(&[(":method", "GET"), (":scheme", "https"), (":authority", HOST)])),
        ("T01", fields(&[("x-early", "1"), (":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/")])),
        ("T02", of(b"GET", b"https", host, b"/ x")),
        ("T02", of(b"GET /x HTTP/1.1", b"https", host, b"/")),
        ("H10", of(b"GET", b"https", host, b"/a\\..\\b")),
        ("H10", of(b"GET", b"https", host, b"/`id`")),
        ("H10", of(b"GET", b"https", host, b"/<b>")),
        ("H10", of(b"GET", b"https", host, "/caf\u{e9}".as_bytes())),
        ("H10", of(b"OPTIONS", b"https", host, b"*")),
        ("H06", of(b"TRACE", b"https", host, b"/")),
        ("H06", of(b"OPTIONS", b"https", host, b"/x").into_iter().chain(fields(&[("max-forwards", "0")])).collect()),
        ("T02", of(b"GET", b"https", host, b"no-slash")),
        ("T02", of(b"GET", b"https", host, b"")),
        ("T02", of(b"GET", b"https", b"user@todos.example.com", b"/")),
        ("T02", of(b"GET", b"https", b"todos.example.com/path", b"/")),
        ("T02", of(b"GET", b"https", b"todos example com", b"/")),
        ("T02", of(b"GET", b"https", b"", b"/")),
        ("T03", with("host", "other.example.com")),
        ("T03", request("GET", "/", &[("host", HOST), ("host", HOST)])),
        ("T03", fields(&[(":method", "GET"), (":scheme", "https"), (":path", "/")])),
        ("T04", with("connection", "close")),
        ("T04", with("transfer-encoding", "chunked")),
        ("T04", with("keep-alive", "timeout=5")),
        ("T04", with("proxy-connection", "keep-alive")),
        ("T04", with("upgrade", "websocket")),
        ("T04", with("te", "gzip")),
        ("T05", with("content-length", "5")),
        ("T05", request("POST", "/", &[("content-length", "0"), ("content-length", "5")])),
        ("T05", with("content-length", "+0")),
        ("T07", request("CONNECT", "/websocket", &[(":protocol", "websocket")])),
        ("T07", fields(&[(":method", "CONNECT"), (":authority", HOST)])),
    ];
    let mut wrong = Vec::new();
    for (row, block) in cases {
        let refused = served.refuses(&block).await;
        wrong.extend(refused.err().map(|why| format!("{row}: {}: {why}", block.escape_ascii())));
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    served.serves().await;
}

#[tokio::test]
async fn a_stream_that_its_client_takes_back_is_no_bad_request() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        heads.read(&mut stream).await;
        // Never an answer; the edge's leaving is what ends this.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let served = Served::start("").await;
    served.edge.put_app(&instances_json(&[("a", app.address)]), "").await;
    let mut raw = served.open().await;
    raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/", &[("x-request-id", "back")])).await;
    until("the app has it", async || app.count() == 1).await;
    raw.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]).await;
    let line = &served.edge.lines_of("back", 1).await[0];
    assert_eq!((line["status"].as_u64(), line.get("code")), (Some(499), None), "{line}");
    until("the app's work is no longer in flight", async || served.edge.instance("a").await["in_flight"] == 0).await;
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_said_is_cut_on_http2() {
    let served = Served::start("").await;
    // T05: less, and more, than was said. The app never gets a whole request.
    for body in [&b"abc"[..], b"abcdefgh"] {
        let seen = served.watch("T05", async |raw| {
            raw.send(HEADERS, END_HEADERS, 1, &request("POST", "/", &[("content-length", "5")])).await;
            raw.send(DATA, END_STREAM, 1, body).await;
            raw.outcome().await.map(|frame| (frame.kind, frame.stream, frame.code()))
        });
        let seen = seen.await;
        assert_eq!((seen.outcome, seen.at_app.len()), (Some((RST_STREAM, 1, PROTOCOL_ERROR)), 0), "T05: {body:?}");
        // The library ends it; to us its client has left.
        assert!(seen.log.len() <= 1 && seen.log.iter().all(|line| line["status"] == 499), "T05: {:?}", seen.log);
    }
}

/// H18, L10 and expectations: as on HTTP/1.1.
#[tokio::test]
async fn fields_that_mean_something_else_to_an_app_stay_here_on_http2_too() {
    let served = Served::start("").await;
    let forged = [
        ("x_forwarded_for", "192.0.2.66"),
        ("x-forwarded_proto", "gopher"),
        ("transfer_encoding", "chunked"),
        ("content_length", "5"),
        ("proxy", "http://192.0.2.66"),
        ("expect", "miracles"),
        ("x_own", "stays"),
    ];
    let seen = served.watch("H18", async |raw| {
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/", &forged)).await;
        raw.outcome().await.map(|frame| (frame.kind, frame.status()))
    });
    let seen = seen.await;
    assert_eq!(seen.outcome, Some((HEADERS, 200)));
    let [message] = &seen.at_app[..] else { panic!("one request: {:?}", seen.at_app) };
    let message = message.to_ascii_lowercase();
    for (name, _) in &forged[..6] {
        assert!(!message.contains(&format!("\r\n{name}:")), "{name}: {message}");
    }
    assert!(message.contains("\r\nx_own: stays\r\n"), "{message}");
}

/// T06: the app gets one field (RFC 9113 section 8.2.3).
#[tokio::test]
async fn a_cookie_in_crumbs_is_one_field_for_the_app() {
    let served = Served::start("").await;
    let crumbs = [("cookie", "a=1"), ("cookie", "__Host-karman=junk"), ("cookie", "b=2")];
    let seen = served.watch("T06", async |raw| {
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/", &crumbs)).await;
        raw.outcome().await.map(|frame| (frame.kind, frame.status()))
    });
    let seen = seen.await;
    assert_eq!(seen.outcome, Some((HEADERS, 200)));
    assert_eq!(seen.log.iter().map(|line| &line["status"]).collect::<Vec<_>>(), [200]);
    let [message] = &seen.at_app[..] else { panic!("T06: one request: {:?}", seen.at_app) };
    let message = message.to_ascii_lowercase();
    assert!(message.contains("\r\ncookie: a=1; b=2\r\n") && message.matches("cookie:").count() == 1, "T06: {message}");
}

#[tokio::test]
async fn whoever_makes_work_and_takes_it_back_is_told_to_go() {
    /// Of 2,000: as many as may be open at once.
    const REACHED_MAX: usize = 100;
    let served = Served::start("").await;
    let head = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", "/", &[]));
    let streams = || (0..2_000).map(|n| n * 2 + 1);
    let rapid: Vec<u8> =
        streams().flat_map(|stream| [head(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()).collect();
    // A window that grows by nothing is an error of the stream, which the server has to reset (CVE-2025-8671).
    let made: Vec<u8> =
        streams().flat_map(|stream| [head(stream), frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 0])].concat()).collect();
    let open = frame(HEADERS, 0, 1, &request("GET", "/", &[]));
    let endless = [open, frame(CONTINUATION, 0, 1, &fields(&[("x", "y".repeat(16_000).as_str())])).repeat(400)].concat();
    let post = frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[]));
    let empty = [post, frame(DATA, 0, 1, b"").repeat(20_000)].concat();
    for (row, sent, codes) in [
        ("T08", rapid, &[ENHANCE_YOUR_CALM][..]),
        ("T09", made, &[ENHANCE_YOUR_CALM, PROTOCOL_ERROR]),
        ("T10", endless, &[ENHANCE_YOUR_CALM]),
        ("T11", empty, &[ENHANCE_YOUR_CALM]),
    ] {
        let seen = served.watch(row, async |raw| {
            raw.write(&sent).await;
            raw.goes_away().await
        });
        let seen = seen.await;
        assert!(seen.outcome.is_some_and(|code| codes.contains(&code)), "{row}: {:?}", seen.outcome);
        let (reached, told) = (seen.at_app.len(), seen.log.len());
        assert!(reached <= told && told <= REACHED_MAX, "{row}: {reached} requests reached the app, {told} are in the log");
    }
}

#[tokio::test]
async fn floods_of_small_frames_cost_neither_memory_nor_others_their_answers() {
    const FLOOD: usize = 20_000;
    const GROWTH_MAX: u64 = 64 << 20;
    let served = Served::start("").await;
    served.serves().await;
    let before = served.memory();
    // T12. Nobody reads what the edge has to answer.
    for flood in [
        frame(SETTINGS, 0, 0, &[]),
        frame(PING, 0, 0, &[7; 8]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
    ] {
        let flood = flood.repeat(FLOOD);
        let seen = served.watch("T12", async |raw| {
            let _ = tokio::time::timeout(Duration::from_secs(2), raw.write(&flood)).await;
        });
        let seen = seen.await;
        assert!(seen.log.is_empty() && seen.at_app.is_empty(), "T12: no request: {:?}, {:?}", seen.log, seen.at_app);
        let grown = served.memory().saturating_sub(before);
        assert!(grown < GROWTH_MAX, "{grown} bytes");
    }
}

#[tokio::test]
async fn fields_that_grow_when_unpacked_are_too_large() {
    let served = Served::start("").await;
    let mut block = request("GET", "/", &[]);
    // T13: one field that is kept in the table (RFC 7541 section 6.2.1), and a byte for each time it is meant again.
    block.push(0x40);
    text(b"x-bomb", &mut block);
    text(&[b'b'; 3_900], &mut block);
    block.extend([0x80 | 62; 4_000]);
    let before = served.memory();
    assert_eq!(served.refuses(&block).await, Ok(()), "T13");
    let grown = served.memory().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
    served.serves().await;
}

#[tokio::test]
async fn streams_and_windows_keep_to_their_bounds() {
    let served = Served::start("limits: {http2_streams: 10}").await;
    let post = request("POST", "/", &[]);
    let mut raw = served.open().await;
    // T15: so many that wait for their bodies, and one more.
    for stream in (0..11).map(|n| n * 2 + 1) {
        raw.send(HEADERS, END_HEADERS, stream, &post).await;
    }
    let refused = raw.outcome().await.unwrap();
    assert_eq!((refused.kind, refused.stream, refused.code()), (RST_STREAM, 21, REFUSED_STREAM));
    for (what, bad, codes) in [
        ("a window over 2^31 - 1", frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffffu32.to_be_bytes()), &[FLOW_CONTROL_ERROR][..]),
        ("an even stream", frame(HEADERS, END_HEADERS | END_STREAM, 2, &post), &[PROTOCOL_ERROR]),
        ("DATA of no stream", frame(DATA, 0, 0, b"x"), &[PROTOCOL_ERROR]),
        ("DATA of an idle stream", frame(DATA, 0, 99, b"x"), &[PROTOCOL_ERROR]),
        ("more padding than frame", frame(DATA, 8, 1, &[200, 1]), &[PROTOCOL_ERROR]),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, b""), &[PROTOCOL_ERROR]),
    ] {
        let mut raw = served.open().await;
        raw.write(&bad).await;
        let code = raw.goes_away().await;
        assert!(code.is_some_and(|code| codes.contains(&code)), "{what}: {code:?}");
    }
    served.serves().await;
    assert!(served.app.seen().iter().all(|message| message.contains("/bystander")), "T15: {:?}", served.app.seen());
    assert!(refusals(&served.edge).await.is_empty(), "T15: what is no request is counted as none");
}

#[tokio::test]
async fn an_http2_connection_that_says_nothing_is_closed() {
    let served = Served::start("limits: {head_seconds: 1, keepalive_seconds: 1}").await;
    // T16: after its preface, and after a request.
    let mut silent = served.open().await;
    silent.goes_away().await;
    let mut idle = served.open().await;
    idle.send(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/", &[])).await;
    assert_eq!(idle.outcome().await.unwrap().status(), 200);
    let start = Instant::now();
    while let Some(frame) = idle.next().await {
        assert!(frame.kind == DATA || frame.kind == GOAWAY || frame.kind == SETTINGS, "{frame:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_answer_that_nobody_takes_on_http2_is_given_up() {
    let served = Served::start("limits: {body_pause_seconds: 1, keepalive_seconds: 1}").await;
    // T14: a window of nothing (SETTINGS_INITIAL_WINDOW_SIZE), and no more of it.
    let mut raw = Raw::open_with(&served.edge, &served.authority, &[0, 4, 0, 0, 0, 0]).await;
    raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &request("GET", "/", &[])).await;
    while let Some(frame) = raw.next().await {
        assert!(frame.kind != DATA || frame.payload.is_empty(), "{frame:?}");
    }
    served.serves().await;
}

#[tokio::test]
async fn an_http2_connection_is_told_to_go_when_an_edge_is_left_or_upgraded() {
    const NO_ERROR: u32 = 0;
    let mut served = Served::start("").await;
    let ask = request("GET", "/", &[]);
    // One that is there before, and one that comes meanwhile: both are served, and told.
    let mut before = served.open().await;
    before.send(HEADERS, END_HEADERS | END_STREAM, 1, &ask).await;
    assert_eq!(before.outcome().await.unwrap().status(), 200);
    assert_eq!(served.edge.admin("PUT", "/v1/drain", "{}").await.status, 200);
    let told = before.outcome().await.expect("a GOAWAY");
    assert_eq!((told.kind, told.code()), (GOAWAY, NO_ERROR), "{told:?}");
    before.send(HEADERS, END_HEADERS | END_STREAM, 3, &ask).await;
    assert_eq!(before.outcome().await.unwrap().status(), 200, "what was on its way is answered");
    let mut meanwhile = served.open().await;
    meanwhile.send(HEADERS, END_HEADERS | END_STREAM, 1, &ask).await;
    assert_eq!(meanwhile.outcome().await.unwrap().status(), 200);
    assert_eq!(meanwhile.outcome().await.expect("a GOAWAY").code(), NO_ERROR);
    assert_eq!(served.edge.admin("DELETE", "/v1/drain", "").await.status, 200);

    let mut upgraded = served.open().await;
    upgraded.send(HEADERS, END_HEADERS | END_STREAM, 1, &ask).await;
    assert_eq!(upgraded.outcome().await.unwrap().status(), 200);
    let mut previous = served.edge.upgrade().await;
    let told = upgraded.outcome().await.expect("a GOAWAY");
    assert_eq!((told.kind, told.code()), (GOAWAY, NO_ERROR), "{told:?}");
    drop((before, meanwhile, upgraded));
    until("the old process goes", async || previous.try_wait().unwrap().is_some()).await;
}

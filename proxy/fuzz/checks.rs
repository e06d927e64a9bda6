//! What must hold of any bytes, part by part: run by the fuzz targets on bytes that a fuzzer makes up, and
//! by the proxy's tests on those that it found before.

use std::net::{IpAddr, Ipv4Addr};

use karman_contract::document::{AppsDocument, DocumentName, from_json};
use karman_proxy::access_log::{AccessLine, LINE_BYTES_MAX, Milliseconds};
use karman_proxy::framing::Framing;
use karman_proxy::head::{Head, HeadLimits, Scan, Verdict};
use karman_proxy::proxy_protocol;
use karman_proxy::routing;
use karman_proxy::saved_state::Saved;
use karman_proxy::sticky::without_ours;
use karman_proxy::tunnel::frames::Frames;

const LIMITS: HeadLimits = HeadLimits { target_bytes: 8_192, fields_bytes: 32_768, fields: 100 };

/// A head has one verdict, at once or byte by byte; what goes on is good as it stands.
pub fn head(bytes: &[u8]) {
    let whole = Scan::default().look(bytes, &LIMITS);
    let mut scan = Scan::default();
    let mut verdict = Verdict::More;
    for end in 1..=bytes.len() {
        verdict = scan.look(&bytes[..end], &LIMITS);
        if verdict != Verdict::More {
            break;
        }
    }
    let both_refuse = matches!((&whole, &verdict), (Verdict::Refused(_), Verdict::Refused(_)));
    assert!(both_refuse || whole == verdict, "at once {whole:?}, byte by byte {verdict:?}");
    if let Verdict::Whole(good) = whole {
        let goes_on = if good.needs_rewriting { good.rewritten(bytes) } else { bytes[good.place.clone()].to_vec() };
        let again = Head { place: 0..goes_on.len(), needs_rewriting: false, ..good };
        assert_eq!(Scan::default().look(&goes_on, &LIMITS), Verdict::Whole(again));
    }
}

/// A chunked body ends at one place, however it is cut.
pub fn chunks(bytes: &[u8]) {
    let taken = |piece: usize| {
        let mut framing = Framing::chunked();
        let mut sum = 0;
        for piece in bytes.chunks(piece) {
            sum += framing.take(piece)?;
            if framing.is_done() {
                break;
            }
        }
        Ok::<_, karman_proxy::framing::BadChunk>((sum, framing.is_done()))
    };
    assert_eq!(taken(bytes.len().max(1)), taken(1));
}

/// A host is its own host.
pub fn host(bytes: &[u8]) {
    let found = routing::host(bytes);
    assert_eq!(found.is_some(), routing::is_host(bytes));
    if let Some(found) = found {
        assert_eq!(routing::host(found.as_bytes()).as_deref(), Some(found.as_str()));
    }
}

/// Nothing of ours is left in what an app sees.
pub fn cookie(bytes: &[u8]) {
    if let Some(kept) = without_ours(bytes) {
        assert!(kept.len() < bytes.len());
        assert_eq!(without_ours(&kept), None);
    }
}

/// Frames are counted alike, however they are cut.
pub fn frames(bytes: &[u8]) {
    let (mut at_once, mut one_by_one) = (Frames::default(), Frames::default());
    at_once.follow(bytes);
    for byte in bytes {
        one_by_one.follow(&[*byte]);
    }
    assert_eq!(
        (at_once.count, at_once.closed, at_once.is_between(), at_once.missing()),
        (one_by_one.count, one_by_one.closed, one_by_one.is_between(), one_by_one.missing())
    );
}

/// A PROXY header is read without looking further than it may be long.
pub fn introduction(bytes: &[u8]) {
    let longest = bytes.len().min(proxy_protocol::HEADER_BYTES_MAX);
    assert_eq!(format!("{:?}", proxy_protocol::parse(bytes)), format!("{:?}", proxy_protocol::parse(&bytes[..longest])));
}

/// A document is taken, and says the same when it is written and read again, or refused with reasons.
pub fn documents(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match from_json::<AppsDocument>(text) {
        Ok(document) => {
            let again = from_json::<AppsDocument>(&document.to_json()).map(|again| again.to_json());
            assert_eq!(again.as_ref(), Ok(&document.to_json()));
        }
        Err(reasons) => assert!(!reasons.is_empty()),
    }
}

/// Whatever stands in a saved file: it is loaded or left, with a warning, and never ends the process.
pub fn saved_state(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("apps-7-1.v1.json"), bytes).expect("a file");
    let loaded = Saved::open(dir.path(), DocumentName::Apps);
    let (_, loaded) = loaded.expect("the folder can be read");
    assert!(loaded.snapshot.is_some() || !loaded.warnings.is_empty());
}

/// What a client says of itself becomes one line, and nobody's but its own.
pub fn access_log(bytes: &[u8]) {
    let mut said = bytes.split(|byte| *byte == 0xff).map(String::from_utf8_lossy);
    let (path, host, method, request_id) = (said.next(), said.next(), said.next(), said.next());
    let line = AccessLine {
        at: jiff::Timestamp::UNIX_EPOCH,
        edge: "edge-1",
        request_id: request_id.as_deref().unwrap_or_default(),
        app: None,
        owner: None,
        release: None,
        instance: None,
        host: host.as_deref().unwrap_or_default(),
        method: method.as_deref().unwrap_or_default(),
        path: path.as_deref().unwrap_or_default(),
        status: 404,
        code: None,
        why: None,
        caller: "navigation",
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        bytes_in: 0,
        bytes_out: 0,
        ms: Milliseconds::default(),
        sticky: None,
        tries: 0,
        tls: None,
        generation: None,
        by: None,
        frames_in: None,
        frames_out: None,
        open_seconds: None,
    };
    let json = line.to_json().expect("bounded texts fit");
    assert!(json.len() <= LINE_BYTES_MAX);
    let (end, text) = json.split_last().expect("a line");
    assert!(*end == b'\n' && !text.iter().any(u8::is_ascii_control));
    let said: serde_json::Value = serde_json::from_slice(text).expect("JSON");
    assert!(said["status"] == 404 && said["path"].is_string() && said["host"].is_string());
}

//! What stands in the log, and that nothing a client or a sink does holds up a request.

use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use karman_contract::code::Code;
use proptest::prelude::*;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use super::*;

/// A bound for what is waited for, far above what it takes.
const SOON: Duration = Duration::from_secs(10);

fn line<'a>(path: &'a str) -> AccessLine<'a> {
    AccessLine {
        at: "2026-11-23T08:00:00.123456Z".parse().unwrap(),
        edge: "edge-1",
        request_id: "8f3c2a",
        app: None,
        owner: None,
        release: None,
        instance: None,
        host: "todos.example.com",
        method: "GET",
        path,
        status: 404,
        code: None,
        why: None,
        caller: "navigation",
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        bytes_in: 0,
        bytes_out: 512,
        ms: Milliseconds { total: Duration::from_micros(1_234), ..Milliseconds::default() },
        sticky: None,
        tries: 0,
        tls: None,
        generation: None,
        by: None,
        frames_in: None,
        frames_out: None,
        open_seconds: None,
    }
}

fn to_value(line: &AccessLine<'_>) -> Value {
    serde_json::from_slice(&line.to_json().unwrap()).unwrap()
}

fn file_log(lines: usize) -> (AccessLog, tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    (AccessLog::open(&Destination::File(path.clone()), lines).unwrap(), dir, path)
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_request_has_the_fields_of_the_contract_and_only_those_that_apply() {
    assert_eq!(
        to_value(&line("/x?y=1")),
        json!({"at": "2026-11-23T08:00:00.123Z", "edge": "edge-1", "request_id": "8f3c2a", "host": "todos.example.com",
            "method": "GET", "path": "/x?y=1", "status": 404, "caller": "navigation", "client": "127.0.0.1",
            "bytes_in": 0, "bytes_out": 512, "ms": {"total": 1.234}, "tries": 0})
    );
}

#[test]
fn a_tunnel_that_closes_has_them_all() {
    let ms = Some(Duration::from_millis(2));
    let closed = AccessLine {
        app: Some("todos"),
        owner: Some("acme"),
        release: Some(7),
        instance: Some("todos-7-a"),
        status: 101,
        code: Some(Code::InstanceReset),
        caller: "socket",
        ms: Milliseconds { queue: ms, hold: ms, connect: ms, first_byte: ms, total: Duration::from_secs(61) },
        sticky: Some("hit"),
        tries: 1,
        tls: Some("1.3"),
        generation: Some(42),
        by: Some("client"),
        frames_in: Some(3),
        frames_out: Some(4),
        open_seconds: Some(Duration::from_millis(60_500)),
        ..line("/websocket")
    };
    let found = to_value(&closed);
    let names: Vec<_> = found.as_object().unwrap().keys().map(String::as_str).collect();
    // The names as the contract's page lists them.
    let mut wanted: Vec<_> =
        "at, edge, request_id, app, owner, release, instance, host, method, path, status, code, caller, client, \
        bytes_in, bytes_out, ms, sticky, tries, tls, generation, by, frames_in, frames_out, open_seconds"
            .split(", ")
            .collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    assert_eq!(found["ms"], json!({"queue": 2.0, "hold": 2.0, "connect": 2.0, "first_byte": 2.0, "total": 61_000.0}));
    assert_eq!(found["open_seconds"], json!(60.5));
    assert_eq!(found["code"], json!("instance-reset"));
}

/// What log forgers use: ends of lines and strings, terminal control, direction overrides, invisibles, long UTF-8.
const HOSTILE: &[&str] = &[
    "/",
    "a",
    "%0a",
    "\n",
    "\r",
    "\u{0}",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{9b}31m",
    "\"",
    "\\",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{feff}",
    "é",
    "漢",
    "🦀",
    "\"}\n{\"status\":200,",
];

fn hostile_path(random: &mut fastrand::Rng) -> String {
    let length = if random.u8(..) < 16 { 4_000 } else { 40 };
    (0..random.usize(..length)).map(|_| HOSTILE[random.usize(..HOSTILE.len())]).collect()
}

#[test]
fn as_many_lines_come_out_as_went_in_whatever_clients_send() {
    const LINES: usize = 5_000;
    let mut random = fastrand::Rng::with_seed(1);
    let (log, _dir, file) = file_log(LINES);
    let paths: Vec<_> = (0..LINES).map(|_| hostile_path(&mut random)).collect();
    for path in &paths {
        log.write(&AccessLine { host: path, method: path, request_id: path, ..line(path) });
    }
    assert!(log.close(SOON));
    assert_eq!(log.dropped(), 0);

    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.split_terminator('\n').collect();
    assert_eq!(lines.len(), LINES);
    for (json, path) in lines.iter().zip(&paths) {
        assert!(json.len() < LINE_BYTES_MAX, "{} bytes", json.len());
        let raw = json.chars().find(|c| c.is_control() || "\u{2028}\u{2029}\u{202e}\u{2066}\u{200f}\u{feff}".contains(*c));
        assert_eq!(raw, None, "in {json:?}");
        let found: Value = serde_json::from_str(json).unwrap();
        assert_eq!(found["status"], 404, "a client cannot write a field");
        let written = found["path"].as_str().unwrap();
        match written.strip_suffix('…') {
            Some(start) => assert!(path.starts_with(start) && path.len() > start.len()),
            None => assert_eq!(written, path),
        }
    }
}

#[test]
fn a_long_path_is_cut_to_its_bound_and_marked() {
    let whole = "/".repeat(1_024);
    assert_eq!(to_value(&line(&whole))["path"], json!(whole));

    let cut = format!("{}…", "/".repeat(1_021));
    assert_eq!(to_value(&line(&"/".repeat(1_025)))["path"], json!(cut));
    assert_eq!(to_value(&line(&"/".repeat(1_000_000)))["path"], json!(cut));
}

#[test]
fn off_takes_lines_and_does_nothing() {
    let log = AccessLog::open(&Destination::Off, 1).unwrap();
    for _ in 0..100 {
        log.write(&line("/"));
    }
    log.reopen();
    assert!(!log.is_on());
    assert!(log.close(Duration::ZERO));
    assert_eq!(log.dropped(), 0);
}

#[test]
fn lines_are_there_soon_without_a_close_and_the_file_is_for_us_and_our_group() {
    let (log, _dir, file) = file_log(10);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o137, 0);
    log.write(&line("/"));
    wait_until("the line is in the file", || fs::read_to_string(&file).unwrap().ends_with('\n'));
}

#[test]
fn a_stalled_reader_costs_lines_but_no_time() {
    const LINES: usize = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("log");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
    // Reading and writing: opening does not wait for the other side.
    let mut reader = File::options().read(true).write(true).open(&fifo).unwrap();
    let log = AccessLog::open(&Destination::File(fifo), 100).unwrap();

    let start = Instant::now();
    for _ in 0..LINES {
        log.write(&line("/"));
    }
    assert!(start.elapsed() < SOON, "writing waited for a reader that never reads");
    wait_until("lines are dropped", || log.dropped() > 0);
    assert!(!log.close(Duration::from_millis(20)), "a stalled log does not hold up the shutdown either");

    // Once somebody reads, every line is either there or counted.
    let dropped = log.dropped() as usize;
    let mut found = Vec::new();
    let mut piece = [0; 65_536];
    while found.iter().filter(|byte| **byte == b'\n').count() + dropped < LINES {
        let count = reader.read(&mut piece).unwrap();
        found.extend_from_slice(&piece[..count]);
    }
    for json in found.split_inclusive(|byte| *byte == b'\n') {
        serde_json::from_slice::<Value>(json).unwrap();
    }
    assert!(log.close(SOON));
}

#[test]
fn a_full_disk_costs_lines_and_is_counted() {
    let log = AccessLog::open(&Destination::File("/dev/full".into()), 10_000).unwrap();
    for _ in 0..1_000 {
        log.write(&line("/"));
    }
    assert!(log.close(SOON));
    assert_eq!(log.dropped(), 1_000);
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let (log, dir, file) = file_log(100);
    log.write(&line("/before"));
    wait_until("the first line is written", || fs::read_to_string(&file).unwrap().contains("/before"));
    let moved = dir.path().join("access.log.1");
    fs::rename(&file, &moved).unwrap();
    log.reopen();
    wait_until("there is a new file, without a request", || file.exists());
    log.write(&line("/after"));
    assert!(log.close(SOON));
    assert!(fs::read_to_string(&file).unwrap().contains("/after"));
    assert!(!fs::read_to_string(&moved).unwrap().contains("/after"));
    assert_eq!(log.dropped(), 0);
}

#[test]
fn a_file_that_cannot_be_opened_anew_goes_on_as_it_is() {
    let (log, dir, file) = file_log(100);
    let moved = dir.path().join("moved");
    fs::rename(&file, &moved).unwrap();
    fs::create_dir(&file).unwrap();
    log.reopen();
    log.write(&line("/"));
    assert!(log.close(SOON));
    assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 1);
}

#[test]
fn a_log_in_no_directory_is_an_error_at_the_start() {
    let missing = Destination::File("/nowhere/at/all/access.log".into());
    assert_eq!(AccessLog::open(&missing, 1).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn after_the_close_lines_are_counted_as_dropped() {
    let (log, _dir, _file) = file_log(100);
    assert!(log.close(SOON));
    log.write(&line("/"));
    assert_eq!(log.dropped(), 1);
}

proptest! {
    /// Row L14: whatever a client says, it is one line, and valid JSON that says the same.
    #[test]
    fn any_text_is_one_line_of_json(path in "\\PC*|[\\x00-\\x7f]*|.{0,2000}", host in ".{0,300}", id in ".{0,200}") {
        let line = AccessLine { host: &host, request_id: &id, ..line(&path) };
        let json = line.to_json().expect("bounded texts fit");
        prop_assert!(json.len() <= LINE_BYTES_MAX);
        prop_assert_eq!(json.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert!(!json[..json.len() - 1].iter().any(|byte| *byte < b' ' || *byte == 0x7f));
        let said = serde_json::from_slice::<Value>(&json).unwrap();
        let said = said["path"].as_str().unwrap();
        prop_assert!(said == path || path.starts_with(said.strip_suffix('…').unwrap_or("\0")), "{said:?}");
    }
}

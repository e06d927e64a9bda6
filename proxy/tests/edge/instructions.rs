//! What a call of the functions costs that every request or frame goes through: instructions and allocations, against
//! committed figures.
//!
//! Times drift on a busy machine, counts do not: callgrind counts the same for the same binary and input. They are counts of
//! the tests' own profile, not of a release, so they say how a change compares with what was there before, and nothing absolute.
//! An allocation more is few instructions in that profile, so allocations are counted by themselves.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use karman_contract::document::{AppsDocument, KeysDocument, from_json};
use karman_contract::name::AppId;
use karman_proxy::documents::Table;
use karman_proxy::head::{HeadLimits, Scan, Verdict};
use karman_proxy::headers::{self, Origin};
use karman_proxy::routing;
use karman_proxy::sticky::{Bound, COOKIE, CookieKeys};
use karman_proxy::table::Apps;
use karman_proxy::tunnel::frames::Frames;
use pingora_http::RequestHeader;

/// How far instructions may be off, in percent, either way: what a table's hashes are seeded with is chosen at random. Allocations
/// must be as committed.
const TOLERANCE: u64 = 5;

/// What is committed: a line a function, with its name, instructions a call and allocations a call.
const COMMITTED: &str = include_str!("instructions.txt");

/// Where that stands.
const COMMITTED_FILE: &str = "proxy/tests/edge/instructions.txt";

/// Apps of the table that is looked into: enough to even out where their hosts come to lie in it.
const APPS: u64 = 1_000;
/// Calls of each of the others.
const CALLS: u64 = 100;

/// The functions, and how often each is called.
const FUNCTIONS: [(&str, u64); 5] =
    [("routing_lookup", APPS), ("head_check", CALLS), ("cookie_check", CALLS), ("header_work", CALLS), ("frame_tracking", CALLS)];

/// What asks the allocator for memory.
const ALLOCATING: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];

const HEAD: &[u8] = b"GET /api/todos?done=1 HTTP/1.1\r\nHost: todos.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: application/json\r\n\
    Accept-Language: en,de;q=0.7\r\nConnection: keep-alive\r\nCookie: theme=dark; session=1\r\n\r\n";

#[test]
fn hot_functions_do_what_they_are_for() {
    let table = table();
    let limits = HeadLimits { target_bytes: 8_192, fields_bytes: 16_384, fields: 100 };
    let keys: KeysDocument =
        from_json(r#"{"generation":1,"cookie":["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],"ticket":[]}"#).unwrap();
    let keys = CookieKeys::new(&keys);
    let app: AppId = "todos".parse().unwrap();
    let bound = Bound { release: 7, tag: 42 };
    let field = format!("theme=dark; {COOKIE}={}; session=1", keys.seal(&app, bound).unwrap());
    let mut requests = requests(&field);
    let mut frames = Frames::default();

    // One after the other, so that nothing else is counted with them.
    routing_lookup(&table);
    head_check(&limits);
    cookie_check(&keys, &app, &field, bound);
    header_work(&mut requests);
    frame_tracking(&mut frames);

    assert_eq!(frames.count, CALLS);
    assert!(frames.is_between());
}

/// Requests as a browser sends them that was here before.
fn requests(cookie: &str) -> Vec<RequestHeader> {
    let fields = [
        ("host", "todos.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("accept-language", "en,de;q=0.7"),
        ("cookie", cookie),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    let request = |_| {
        let mut request = RequestHeader::build("GET", b"/api/todos?done=1", None).unwrap();
        fields.into_iter().for_each(|(name, value)| request.insert_header(name, value.to_owned()).unwrap());
        request
    };
    (0..CALLS).map(request).collect()
}

/// A table of many apps, each with a host and a wildcard.
fn table() -> Apps {
    let app = |n| format!(r#""app-{n:03}":{{"hosts":["app-{n:03}.example.com","*.app-{n:03}.example.org"],"instances":{{}}}}"#);
    let apps: Vec<_> = (0..APPS).map(app).collect();
    let document: AppsDocument = from_json(&format!(r#"{{"generation":1,"apps":{{{}}}}}"#, apps.join(","))).unwrap();
    Apps::default().replaced_by(document).unwrap().0
}

#[inline(never)]
fn routing_lookup(table: &Apps) {
    let mut field = *b"WWW.app-000.example.org:8080";
    for n in 0..APPS {
        let digit = |place: u64| b'0' + (n / place % 10) as u8;
        field[8..11].copy_from_slice(&[digit(100), digit(10), digit(1)]);
        let host = routing::host(black_box(&field)).unwrap();
        assert!(table.find(&host).is_some());
    }
}

#[inline(never)]
fn head_check(limits: &HeadLimits) {
    for _ in 0..CALLS {
        let Verdict::Whole(head) = Scan::default().look(black_box(HEAD), limits) else { panic!("a good head") };
        assert_eq!(head.place, 0..HEAD.len());
    }
}

#[inline(never)]
fn cookie_check(keys: &CookieKeys, app: &AppId, field: &str, bound: Bound) {
    for _ in 0..CALLS {
        assert_eq!(keys.find(app, COOKIE, std::iter::once(black_box(field.as_bytes()))), Some(bound));
    }
}

#[inline(never)]
fn header_work(requests: &mut [RequestHeader]) {
    let origin = Origin { client: IpAddr::from([203, 0, 113, 7]), secure: true, port: 443 };
    for request in requests {
        headers::for_app(request, &origin, "0123456789abcdef").unwrap();
        assert_eq!(request.headers["x-forwarded-for"], "203.0.113.7");
    }
}

#[inline(never)]
fn frame_tracking(frames: &mut Frames) {
    // A text of 128 bytes, masked.
    let mut frame = [b'x'; 136];
    frame[..8].copy_from_slice(&[0x81, 0xfe, 0x00, 0x80, 1, 2, 3, 4]);
    for _ in 0..CALLS {
        frames.follow(black_box(&frame));
    }
}

/// What was counted of one function.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    instructions: u64,
    allocations: u64,
}

#[test]
fn hot_functions_cost_what_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    // This very binary, with the one test above. What was counted is written out when one of the functions returns, each time
    // since the last, and once before the first.
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no"])
        .arg(format!("--dump-before=*::instructions::{}", FUNCTIONS[0].0))
        .args(FUNCTIONS.map(|(name, _)| format!("--dump-after=*::instructions::{name}")))
        .arg(format!("--callgrind-out-file={}", dir.path().join("counts").display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "instructions::hot_functions_do_what_they_are_for", "--test-threads=1"])
        .output()
        .expect("valgrind, which 'make test' installs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    let found = counts(dir.path());
    let committed = parse(COMMITTED);
    let mut wrong = Vec::new();
    let mut text = String::new();
    for (name, calls) in FUNCTIONS {
        let sum = found.get(name).unwrap_or_else(|| panic!("{name} was not counted: {found:?}"));
        let now = Count { instructions: sum.instructions / calls, allocations: sum.allocations / calls };
        text += &format!("{name} {} {}\n", now.instructions, now.allocations);
        let was = committed.get(name).copied().unwrap_or_default();
        if now.instructions.abs_diff(was.instructions) * 100 > was.instructions * TOLERANCE {
            let (now, was) = (now.instructions, was.instructions);
            wrong.push(format!("{name}: {now} instructions a call found, {was} committed, {TOLERANCE} % allowed"));
        }
        if now.allocations != was.allocations {
            wrong.push(format!("{name}: {} allocations a call found, {} committed", now.allocations, was.allocations));
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "{wrong}\nwhere that is worth it, or is less, {COMMITTED_FILE} becomes:\n{text}");
}

/// The lines of the committed file.
fn parse(text: &'static str) -> BTreeMap<&'static str, Count> {
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        let name = words.next()?;
        let mut number = || words.next()?.parse().ok();
        Some((name, Count { instructions: number()?, allocations: number()? }))
    };
    text.lines().map(|text| line(text).unwrap_or_else(|| panic!("{COMMITTED_FILE}: {text:?}"))).collect()
}

/// What callgrind wrote, by function: a file for each, which says whose return it was written at.
fn counts(dir: &Path) -> BTreeMap<String, Count> {
    let mut counts = BTreeMap::new();
    for file in fs::read_dir(dir).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let trigger = text.lines().find_map(|line| line.strip_prefix("desc: Trigger: --dump-after=")).unwrap_or_default();
        let Some((_, name)) = trigger.rsplit_once("::") else { continue };
        counts.insert(name.to_owned(), count(&text));
    }
    counts
}

fn count(text: &str) -> Count {
    let mut count = Count::default();
    let mut called = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("cfn=") {
            called = name;
        } else if let Some(calls) = line.strip_prefix("calls=") {
            if ALLOCATING.contains(&called) {
                count.allocations += calls.split(' ').next().and_then(|calls| calls.parse::<u64>().ok()).unwrap();
            }
        } else if let Some(sum) = line.strip_prefix("totals: ") {
            count.instructions = sum.parse().unwrap();
        }
    }
    count
}

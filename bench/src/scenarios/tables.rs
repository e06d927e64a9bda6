//! How long does a large table take to load from disk, and a one-app change on top of it to be live?

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

use crate::accounting;
use crate::contender::{Karman, Kind};
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::Latency;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "tables",
    question: "With 100,000 apps: how long until they are loaded, from a push and from disk, and until a change of one is live?",
    contenders: &[Kind::Karman],
    measure,
    rounds: 2,
    plots: &[],
    remarks: &[],
};

const APPS: u32 = 100_000;
const CHANGES: u32 = 500;
const STARTS: u32 = 3;
/// Apps in the small table that lookups are compared with.
const SMALL: u32 = 10;
/// Requests for each comparison of lookups.
const LOOKUPS: u32 = 10_000;

fn measure(turn: &Turn) -> io::Result<Reading> {
    let apps = turn.scaled(APPS, 1_000);
    let lookups = turn.scaled(LOOKUPS, 500);
    let mut reading = Reading::default();
    let mut karman = Karman::start()?;
    put(&karman, 1, SMALL)?;
    let small = look_up(&karman, SMALL, lookups)?;

    let start = Instant::now();
    put(&karman, 2, apps)?;
    reading.put("put whole, live and on disk", Unit::Milliseconds, millis(start.elapsed()));
    reading.put("on disk", Unit::Megabytes, karman.saved_bytes()? as f64 / 1e6);
    let large = look_up(&karman, apps, lookups)?;
    reading.put("memory", Unit::Megabytes, memory(&karman)?);

    let mut starts = Vec::new();
    for _ in 0..turn.scaled(STARTS, 1) {
        let start = karman.kill_and_start()?;
        until_served(&karman, apps)?;
        starts.push(start.elapsed());
    }
    starts.sort();
    reading.put("killed, started, first request routed", Unit::Milliseconds, millis(starts[starts.len() / 2]));
    reading.put("memory after a start", Unit::Megabytes, memory(&karman)?);

    let (live, answered) = change(&karman, turn.scaled(CHANGES, 20))?;
    reading.put_latency("one-app delta, sent until live,", &live);
    reading.put_latency("one-app delta, sent until on disk,", &answered);
    reading.put("a request among them, median", Unit::Microseconds, large.at(0.5).as_secs_f64() * 1e6);
    reading.put("a request among 10, median", Unit::Microseconds, small.at(0.5).as_secs_f64() * 1e6);
    Ok(reading)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn memory(karman: &Karman) -> io::Result<f64> {
    Ok(accounting::memory(&karman.processes())? as f64 / 1e6)
}

/// Stopped apps: a request is routed, and answered without an instance.
fn put(karman: &Karman, generation: u64, apps: u32) -> io::Result<()> {
    let mut list = String::new();
    for n in 0..apps {
        let comma = if n == 0 { "" } else { "," };
        let address = format!("10.{}.{}.{}:3000", n >> 16 & 255, n >> 8 & 255, n & 255);
        let _ = write!(
            list,
            r#"{comma}"app-{n}":{{"owner":"owner-{}","state":"stopped","hosts":["app-{n}.example.com","www.app-{n}.example.org"],"instances":{{"app-{n}-1-a":{{"address":"{address}"}},"app-{n}-1-b":{{"address":"{address}"}}}}}}"#,
            n % 10_000
        );
    }
    karman.put_apps(generation, &list)
}

fn until_served(karman: &Karman, apps: u32) -> io::Result<()> {
    let host = format!("app-{}.example.com", apps / 2);
    loop {
        // Refused until the listener is there; any other answer than this app's is a mistake.
        if let Ok(mut client) = karman.client() {
            let answer = client.ask("GET", &host, "/", b"")?;
            return if answer.code == "app-stopped" { Ok(()) } else { Err(io::Error::other(format!("{host}: {}", answer.code))) };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn look_up(karman: &Karman, apps: u32, count: u32) -> io::Result<Latency> {
    let mut client = karman.client()?;
    let mut latency = Latency::new();
    for _ in 0..count {
        let host = format!("app-{}.example.com", fastrand::u32(..apps));
        let start = Instant::now();
        client.ask("GET", &host, "/", b"")?;
        latency.record(start.elapsed());
    }
    Ok(latency)
}

/// Each change adds an app; a client asks for it all the time, and sees when it is there.
fn change(karman: &Karman, count: u32) -> io::Result<(Latency, Latency)> {
    let (mut live, mut answered) = (Latency::new(), Latency::new());
    for n in 0..count {
        let (base, host) = (2 + n, format!("new-{n}.example.com"));
        let delta = format!(
            r#"{{"generation":{},"base":{base},"put":{{"new-{n}":{{"state":"stopped","hosts":["{host}"],"instances":{{}}}}}}}}"#,
            base + 1
        );
        let mut client = karman.client()?;
        let start = Instant::now();
        let watcher = std::thread::spawn(move || -> io::Result<Duration> {
            loop {
                if client.ask("GET", &host, "/", b"")?.code == "app-stopped" {
                    return Ok(start.elapsed());
                }
            }
        });
        karman.change("PATCH", &delta)?;
        answered.record(start.elapsed());
        live.record(watcher.join().map_err(|_| io::Error::other("the watching client panicked"))??);
    }
    Ok((live, answered))
}

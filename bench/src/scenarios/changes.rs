//! From a write in the store to the first request that is routed by it: how long, and what does it cost those who ask meanwhile?

use std::env;
use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::syncfs;

use crate::accounting;
use crate::contender::{HOST, Karman, Kind};
use crate::control::{Publisher, Store};
use crate::http::Connection;
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::Latency;
use crate::load::pace::{Asked, Noted, steady};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "changes",
    question: "100,000 apps in a store, and 1,000 changes: how long from a write there to the first request routed by it, and do requests notice 50 changes a second?",
    contenders: &[Kind::Karman],
    measure,
    rounds: 1,
    plots: &[],
    remarks: &[],
};

const APPS: u32 = 100_000;
const CHANGES: u32 = 1_000;
/// How often a client looks whether a change is there: as exact as the figures can be.
const LOOK: Duration = Duration::from_micros(500);
/// How long anything may take of which a figure is made.
const PATIENCE: Duration = Duration::from_secs(180);

/// Changes a second while requests run.
const RATE: f64 = 50.0;
const REQUESTS: f64 = 500.0;
const CONNECTIONS: u32 = 8;
/// Without changes, with changes that nobody publishes, and with changes, in turn, so that what drifts is in all.
const SPELLS: u32 = 3;
const SPELL: u32 = 4_000;

fn measure(turn: &Turn) -> io::Result<Reading> {
    let mut reading = Reading::default();
    measure_store(turn, "directory", Store::directory()?, &mut reading)?;
    match Store::etcd() {
        Ok(etcd) => measure_store(turn, "etcd", etcd, &mut reading)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => reading.count_error(format!("left out: {e}"), 1),
        Err(e) => return Err(e),
    }
    Ok(reading)
}

fn measure_store(turn: &Turn, name: &str, store: Store, reading: &mut Reading) -> io::Result<()> {
    let apps = turn.scaled(APPS, 1_000);
    let sample = Sample::start("a")?;
    let mut karman = Karman::start()?;
    store.fill((0..apps).map(|n| (id(n), app(n, ""))))?;
    store.write("todos", &format!("hosts: [{HOST}]\ninstances:\n  a: {{address: \"{}\"}}\n", sample.address))?;

    let start = Instant::now();
    let mut publisher = Publisher::start(&store, &karman)?;
    until_routed(&karman, &host(apps / 2))?;
    reading.put(&format!("{name}: publisher started, all apps routed for the first time"), Unit::Milliseconds, millis(start));
    until_settled(&karman)?;
    let snapshot = karman.saved_bytes()?;
    reading.put(&format!("{name}: a snapshot on disk"), Unit::Megabytes, snapshot as f64 / 1e6);
    change(&store, &karman, apps, 0)?;
    until_settled(&karman)?;
    let delta = karman.saved_bytes()?.saturating_sub(snapshot);
    reading.put(&format!("{name}: a delta on disk"), Unit::Kilobytes, delta as f64 / 1e3);

    let mut latency = Latency::new();
    for n in 1..=turn.scaled(CHANGES, 20) {
        latency.record(change(&store, &karman, apps, n)?);
    }
    reading.put_latency(&format!("{name}: written until routed,"), &latency);
    requests_among_changes(turn, name, (&store, &publisher), &karman, apps, reading)?;
    reading.put(&format!("{name}: memory of the proxy"), Unit::Megabytes, memory(&karman.processes())?);
    reading.put(&format!("{name}: memory of the publisher"), Unit::Megabytes, memory(&[publisher.pid()])?);

    let start = karman.kill_and_start()?;
    until_routed(&karman, &host(apps / 2))?;
    reading.put(&format!("{name}: proxy killed, started, first request routed"), Unit::Milliseconds, millis(start));
    drop(publisher);
    let start = Instant::now();
    publisher = Publisher::start(&store, &karman)?;
    change(&store, &karman, apps, u32::MAX)?;
    reading.put(&format!("{name}: publisher killed, started, a change routed"), Unit::Milliseconds, millis(start));
    drop(publisher);
    Ok(())
}

/// Gives one of the apps another host, and waits until that is routed.
fn change(store: &Store, karman: &Karman, apps: u32, n: u32) -> io::Result<Duration> {
    let (of, host) = (fastrand::u32(..apps), new_host(n));
    let start = Instant::now();
    store.write(&id(of), &app(of, &host))?;
    until_routed(karman, &host)?;
    Ok(start.elapsed())
}

/// The requests of an app that never changes, with and without changes of others. Store and writer share the machine with the
/// proxy: what they alone cost its requests is seen while the publisher stands still.
fn requests_among_changes(
    turn: &Turn,
    name: &str,
    (store, publisher): (&Store, &Publisher),
    karman: &Karman,
    apps: u32,
    reading: &mut Reading,
) -> io::Result<()> {
    let asked = Asked::get(karman.http, "/api/instance");
    // What the 100,000 left to be written would be, in the midst of any of these.
    syncfs(File::open(env::temp_dir())?)?;
    let spell = Duration::from_millis(turn.scaled(SPELL, 500).into());
    let (mut without, mut written_only, mut with) = (Latency::new(), Latency::new(), Latency::new());
    let add = |noted: Noted, to: &mut Latency, reading: &mut Reading| {
        to.add(&noted.latency);
        noted.errors.into_iter().for_each(|(kind, count)| reading.count_error(kind, count));
    };
    let (mut written, mut published, mut spent) = (0, 0, Duration::ZERO);
    for _ in 0..SPELLS {
        add(steady(&asked, CONNECTIONS, REQUESTS, spell), &mut without, reading);
        for is_published in [false, true] {
            if !is_published {
                publisher.pause()?;
            }
            let ends = AtomicBool::new(false);
            let spent_before = accounting::cpu_time(&[publisher.pid()])?;
            let (noted, end) = thread::scope(|scope| {
                let writer = scope.spawn(|| write_at_a_rate(store, apps, written, &ends));
                let noted = steady(&asked, CONNECTIONS, REQUESTS, spell);
                ends.store(true, Relaxed);
                let end = writer.join().map_err(|_| io::Error::other("the writer panicked"))??;
                Ok::<_, io::Error>((noted, end))
            })?;
            publisher.resume()?;
            if is_published {
                published += end - written;
                spent += accounting::cpu_time(&[publisher.pid()])?.saturating_sub(spent_before);
            }
            written = end;
            let last = Instant::now();
            add(noted, if is_published { &mut with } else { &mut written_only }, reading);
            until_routed(karman, &rate_host(written.saturating_sub(1)))?;
            if is_published && last.elapsed() > spell {
                reading.count_error("changes were not followed at their rate", 1);
            }
        }
    }
    reading.put_latency(&format!("{name}: a request, no changes,"), &without);
    reading.put_latency(&format!("{name}: a request, 50 changes a second that nobody publishes,"), &written_only);
    reading.put_latency(&format!("{name}: a request, 50 changes a second,"), &with);
    let a_change = spent.as_secs_f64() * 1e6 / f64::from(published.max(1));
    reading.put(&format!("{name}: CPU of the publisher, a change"), Unit::Microseconds, a_change);
    for (than, before) in [("without", &without), ("with those that nobody publishes", &written_only)] {
        let ratio = with.at(0.99).as_secs_f64() / before.at(0.99).as_secs_f64().max(f64::EPSILON);
        reading.put(&format!("{name}: p99 with changes, more than {than} by"), Unit::Share, (ratio - 1.0) * 100.0);
    }
    Ok(())
}

/// Goes on counting from `first`; says where it ended. Each change comes at any moment of its turn: in step with the requests,
/// all would meet them at the same point, or none.
fn write_at_a_rate(store: &Store, apps: u32, first: u32, ends: &AtomicBool) -> io::Result<u32> {
    let (start, mut n) = (Instant::now(), first);
    while !ends.load(Relaxed) {
        let due = start + Duration::from_secs_f64((f64::from(n - first) + fastrand::f64()) / RATE);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let of = fastrand::u32(..apps);
        store.write(&id(of), &app(of, &rate_host(n)))?;
        n += 1;
    }
    Ok(n)
}

/// Asks for a host until its app answers; each change has a host of its own.
fn until_routed(karman: &Karman, host: &str) -> io::Result<()> {
    let start = Instant::now();
    let mut client: Option<Connection<TcpStream>> = None;
    while start.elapsed() < PATIENCE {
        if client.as_ref().is_none_or(Connection::is_over) {
            // Refused while the proxy starts.
            client = karman.client().ok();
        }
        match client.as_mut().map(|client| client.ask("GET", host, "/", b"")) {
            Some(Ok(answer)) if answer.code == "app-stopped" => return Ok(()),
            Some(Ok(_)) | None => {}
            Some(Err(_)) => client = None,
        }
        thread::sleep(LOOK);
    }
    Err(io::Error::other(format!("{host} was not routed within {PATIENCE:?}")))
}

/// Until what is live is on disk too.
fn until_settled(karman: &Karman) -> io::Result<()> {
    let start = Instant::now();
    while karman.status()?["documents"]["apps"]["saved_at"].is_null() {
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other("the apps were not saved"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn id(n: u32) -> String {
    format!("app-{n}")
}

fn host(n: u32) -> String {
    format!("app-{n}.example.com")
}

fn new_host(n: u32) -> String {
    format!("new-{n}.example.net")
}

fn rate_host(n: u32) -> String {
    format!("rate-{n}.example.net")
}

/// A stopped app: a request is routed, and answered without an instance.
fn app(n: u32, more: &str) -> String {
    let address = format!("10.{}.{}.{}:3000", n >> 16 & 255, n >> 8 & 255, n & 255);
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    format!(
        "owner: owner-{}\nstate: stopped\nhosts: [{}, www.app-{n}.example.org{more}]\ninstances:\n  app-{n}-1-a: {{address: \"{address}\"}}\n  app-{n}-1-b: {{address: \"{address}\"}}\n",
        n % 10_000,
        host(n)
    )
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn memory(processes: &[u32]) -> io::Result<f64> {
    Ok(accounting::memory(processes)? as f64 / 1e6)
}

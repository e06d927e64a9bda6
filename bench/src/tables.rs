//! How long does a large table take to load from disk, and a one-app change on top of it to be live?

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

use clap::Args;

use crate::peers::proportional_set_size;
use crate::proxy::Proxy;
use crate::report::{Times, megabytes, millis};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Apps in the large table, with two instances and two hosts each.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    apps: u32,
    /// One-app changes to measure.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    changes: u32,
    /// Restarts from disk to measure.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    starts: u32,
}

/// Apps in the small table that lookups are compared with.
const SMALL: u32 = 10;
/// Requests for each comparison of lookups.
const LOOKUPS: u32 = 20_000;

pub(crate) fn run(options: &Options) -> io::Result<()> {
    let mut proxy = Proxy::start()?;
    put(&proxy, 1, SMALL)?;
    let small = lookups(&proxy, SMALL)?;

    let start = Instant::now();
    put(&proxy, 2, options.apps)?;
    println!("tables: {} apps, put whole, live and on disk   {}", options.apps, millis(start.elapsed()));
    println!("        on disk                                 {}", megabytes(proxy.saved_bytes()?));
    let large = lookups(&proxy, options.apps)?;
    println!("        memory of the proxy (Pss)               {}", megabytes(proportional_set_size(proxy.id())?));

    let mut starts = Vec::new();
    for _ in 0..options.starts {
        let start = proxy.kill_and_start()?;
        until_served(&proxy, options.apps)?;
        starts.push(start.elapsed());
    }
    println!("        killed, started, first request routed   {}", Times::new(starts).line());
    println!("        memory after a start (Pss)              {}", megabytes(proportional_set_size(proxy.id())?));

    let (live, answered) = changes(&proxy, options.changes)?;
    println!("        one-app delta, sent until live          {}", live.line());
    println!("        one-app delta, sent until on disk       {}", answered.line());

    let ratio = large.percentile(0.5).as_secs_f64() / small.percentile(0.5).as_secs_f64();
    println!("        a request routed among {SMALL:>7} apps       {}", small.line());
    println!("        a request routed among {:>7} apps       {}   ratio of the medians {ratio:.2}", options.apps, large.line());
    Ok(())
}

/// Stopped apps: a request is routed, and answered without an instance.
fn put(proxy: &Proxy, generation: u32, apps: u32) -> io::Result<()> {
    let mut document = format!(r#"{{"generation":{generation},"apps":{{"#);
    for n in 0..apps {
        let comma = if n == 0 { "" } else { "," };
        let address = format!("10.{}.{}.{}:3000", n >> 16 & 255, n >> 8 & 255, n & 255);
        let _ = write!(
            document,
            r#"{comma}"app-{n}":{{"owner":"owner-{}","state":"stopped","hosts":["app-{n}.example.com","www.app-{n}.example.org"],"instances":{{"app-{n}-1-a":{{"address":"{address}"}},"app-{n}-1-b":{{"address":"{address}"}}}}}}"#,
            n % 10_000
        );
    }
    document.push_str("}}");
    let answer = proxy.admin()?.ask("PUT", "admin", "/v1/apps", document.as_bytes())?;
    accepted(answer.status, &answer.body)
}

fn accepted(status: u16, body: &[u8]) -> io::Result<()> {
    let saved = String::from_utf8_lossy(body).contains(r#""saved":true"#);
    if status == 200 && saved { Ok(()) } else { Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(body)))) }
}

fn until_served(proxy: &Proxy, apps: u32) -> io::Result<()> {
    let host = format!("app-{}.example.com", apps / 2);
    loop {
        // Refused until the listener is there; any other answer than this app's is a mistake.
        if let Ok(mut client) = proxy.client() {
            let answer = client.ask("GET", &host, "/", b"")?;
            return if answer.code == "app-stopped" { Ok(()) } else { Err(io::Error::other(format!("{host}: {}", answer.code))) };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn lookups(proxy: &Proxy, apps: u32) -> io::Result<Times> {
    let mut client = proxy.client()?;
    let mut times = Vec::new();
    for n in 0..LOOKUPS {
        // A connection serves a limited number of requests.
        if n % 500 == 0 {
            client = proxy.client()?;
        }
        let host = format!("app-{}.example.com", fastrand::u32(..apps));
        let start = Instant::now();
        client.ask("GET", &host, "/", b"")?;
        times.push(start.elapsed());
    }
    Ok(Times::new(times))
}

/// Each change adds an app; a client asks for it all the time, and sees when it is there.
fn changes(proxy: &Proxy, count: u32) -> io::Result<(Times, Times)> {
    let (mut live, mut answered) = (Vec::new(), Vec::new());
    let mut admin = proxy.admin()?;
    for n in 0..count {
        let (base, host) = (2 + n, format!("new-{n}.example.com"));
        let delta = format!(
            r#"{{"generation":{},"base":{base},"put":{{"new-{n}":{{"state":"stopped","hosts":["{host}"],"instances":{{}}}}}}}}"#,
            base + 1
        );
        let mut client = proxy.client()?;
        let start = Instant::now();
        let watcher = std::thread::spawn(move || -> io::Result<Duration> {
            loop {
                if client.ask("GET", &host, "/", b"")?.code == "app-stopped" {
                    return Ok(start.elapsed());
                }
            }
        });
        let answer = admin.ask("PATCH", "admin", "/v1/apps", delta.as_bytes())?;
        answered.push(start.elapsed());
        accepted(answer.status, &answer.body)?;
        live.push(watcher.join().map_err(|_| io::Error::other("the watching client panicked"))??);
    }
    Ok((Times::new(live), Times::new(answered)))
}

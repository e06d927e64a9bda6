//! What does HTTPS cost: 100,000 certificates, a handshake, an idle socket within TLS?

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::authority::{Authority, Certificate};
use crate::contender::{Contender, HOST, Job, Karman, Kind};
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::{Latency, block_on, secured};
use crate::sample::Sample;

pub(crate) const CERTIFICATES: Scenario = Scenario {
    name: "certificates",
    question: "With 100,000 certificates, each with a key of its own: how long from disk to the first handshake, what does one cost \
               while nobody asks for it, and how long until another one is shown in its place?",
    contenders: &[Kind::Karman],
    measure: measure_certificates,
    rounds: 1,
    plots: &[],
    remarks: &[],
};

pub(crate) const HANDSHAKES: Scenario = Scenario {
    name: "tls",
    question: "HTTPS over TLS 1.3 with an ECDSA certificate on P-256: what does a connection with one request cost, its handshake full \
               or resumed, and what does an idle WebSocket hold?",
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx, Kind::NginxDebian],
    measure: measure_handshakes,
    rounds: 1,
    plots: &[],
    remarks: &[],
};

const MANY: u32 = 100_000;
const CHANGES: u32 = 200;

const VISITS: u32 = 4_000;
/// Clients that shake hands at the same time.
const VISITORS: u32 = 4;
const IDLE: u32 = 2_000;

/// For what a proxy gives back, or makes, a moment after.
const SETTLE: Duration = Duration::from_millis(500);

fn measure_certificates(turn: &Turn) -> io::Result<Reading> {
    let authority = Authority::new()?;
    let client = Arc::new(authority.stranger()?);
    let many = turn.scaled(MANY, 1_000);
    let mut reading = Reading::default();
    let mut karman = Karman::start()?;
    let empty = memory(&karman)?;
    let each = |now: f64| (now - empty).max(0.0) / f64::from(many) / 1e3;

    let list: Vec<String> = (0..many).map(|n| Ok(item(n, &authority.issue(&name(n))?))).collect::<io::Result<_>>()?;
    let start = Instant::now();
    karman.put_certificates(1, &list.join(","))?;
    reading.put("put whole, live and on disk", Unit::Milliseconds, millis(start.elapsed()));
    reading.put("on disk", Unit::Megabytes, karman.saved_bytes()? as f64 / 1e6);
    reading.put("memory of a cold certificate", Unit::Kilobytes, each(memory(&karman)?));

    let start = karman.kill_and_start()?;
    // Refused until the listener is there.
    while secured::connect(karman.https, &name(many / 2), &client).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    reading.put("killed, started, first handshake", Unit::Milliseconds, millis(start.elapsed()));
    karman.until_up()?;
    reading.put("memory of a cold certificate after a start", Unit::Kilobytes, each(memory(&karman)?));

    let (shown, answered) = replace(&karman, &authority, &client, many, turn.scaled(CHANGES, 20))?;
    reading.put_latency("one-certificate delta, sent until shown,", &shown);
    reading.put_latency("one-certificate delta, sent until on disk,", &answered);
    Ok(reading)
}

fn name(n: u32) -> String {
    format!("app-{n}.example.com")
}

fn item(n: u32, certificate: &Certificate) -> String {
    certificate.item(&format!("app-{n}"), &name(n))
}

fn memory(karman: &Karman) -> io::Result<f64> {
    std::thread::sleep(SETTLE);
    Ok(crate::accounting::memory(&karman.processes())? as f64)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A client shakes hands all the time, and sees when it is shown the new certificate of its name.
fn replace(
    karman: &Karman,
    authority: &Authority,
    client: &Arc<ClientConfig>,
    many: u32,
    changes: u32,
) -> io::Result<(Latency, Latency)> {
    let (mut shown, mut answered) = (Latency::new(), Latency::new());
    for base in 1..=changes {
        let n = fastrand::u32(..many);
        let new = authority.issue(&name(n))?;
        let delta = format!(r#"{{"generation":{},"base":{base},"put":{{{}}}}}"#, base + 1, item(n, &new));
        let (https, client) = (karman.https, Arc::clone(client));
        let start = Instant::now();
        let watcher = std::thread::spawn(move || -> io::Result<Duration> {
            loop {
                let secured = secured::connect(https, &name(n), &client)?;
                if secured.conn.peer_certificates().and_then(<[_]>::first) == Some(&new.leaf) {
                    return Ok(start.elapsed());
                }
            }
        });
        karman.change_of("certificates", "PATCH", &delta)?;
        answered.record(start.elapsed());
        shown.record(watcher.join().map_err(|_| io::Error::other("the watching client panicked"))??);
    }
    Ok((shown, answered))
}

fn measure_handshakes(turn: &Turn) -> io::Result<Reading> {
    let (app, authority) = (Sample::start("a")?, Authority::new()?);
    let contender = Contender::start(turn.kind, &Job::secured(app.address, authority.issue(HOST)?))?;
    let mut reading = Reading::default();

    let (strangers, visits) = (Arc::new(authority.stranger()?), turn.scaled(VISITS, 100) / VISITORS);
    // One each first, so that what is only made once is not counted.
    visit(&contender, &[Arc::clone(&strangers)], 1)?;
    for (name, friends) in [("full", vec![strangers; VISITORS as usize]), ("resumed", friends(&authority, &contender)?)] {
        let before = contender.cpu_time()?;
        let full = visit(&contender, &friends, visits)?;
        let spent = contender.cpu_time()?.saturating_sub(before);
        let all = visits * VISITORS;
        reading.put_cpu(&format!("CPU of a {name} handshake with one request"), spent, u64::from(all));
        let wanted = if name == "full" { all } else { 0 };
        reading.count_error(format!("handshakes that were not {name}"), u64::from(full.abs_diff(wanted)));
    }

    let client = Arc::new(authority.stranger()?);
    block_on(async {
        let warm = secured::open_many(contender.https, &client, 1).await?;
        let before = contender.memory()?;
        let idle = secured::open_many(contender.https, &client, turn.scaled(IDLE, 100)).await?;
        tokio::time::sleep(SETTLE).await;
        let bytes = contender.memory()?.saturating_sub(before) as f64 / idle.len() as f64;
        reading.put("memory of an idle socket", Unit::Kilobytes, bytes / 1e3);
        drop((warm, idle));
        Ok(reading)
    })
}

/// Clients who were here once, and may resume.
fn friends(authority: &Authority, contender: &Contender) -> io::Result<Vec<Arc<ClientConfig>>> {
    let friends: Vec<_> = (0..VISITORS).map(|_| authority.friend().map(Arc::new)).collect::<io::Result<_>>()?;
    visit(contender, &friends, 1)?;
    Ok(friends)
}

/// All at once, `count` visits each. How many handshakes were full?
fn visit(contender: &Contender, visitors: &[Arc<ClientConfig>], count: u32) -> io::Result<u32> {
    std::thread::scope(|scope| {
        let visit = |client| scope.spawn(move || secured::visit(contender.https, "/api/instance", client, count));
        let visits: Vec<_> = visitors.iter().map(visit).collect();
        let panicked = |_| io::Error::other("a visitor panicked");
        visits.into_iter().map(|thread| thread.join().map_err(panicked)?).sum()
    })
}

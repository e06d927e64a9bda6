//! Load at a stated rate: requests are due by the clock, and a slow answer delays none but its own connection's.
//!
//! A time is taken from when a request was due, not from when it was sent, so that a stall is seen by
//! every request that it delayed (no coordinated omission).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::Latency;
use crate::contender::HOST;
use crate::http::Connection;

/// How long an answer may take before the connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than a crowd that comes at once takes until all of it is answered.
const LATEST: Duration = Duration::from_secs(30);

/// Until the first request is due: so much, and so much for each thread that has to stand by then.
const LEAD: Duration = Duration::from_millis(50);
const LEAD_PER_THREAD: Duration = Duration::from_micros(500);

/// How long a rate counts as steady.
const STEP: Duration = Duration::from_millis(10);

/// What is asked, and how.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    /// How long after it was due a request may still be sent; a connection that is behind by more leaves it out, as an error.
    pub(crate) latest: Duration,
}

impl Asked {
    /// A GET of the lab's app.
    pub(crate) fn get(address: SocketAddr, path: &str) -> Self {
        Self { address, host: HOST.to_owned(), method: "GET", path: path.to_owned(), body: Vec::new(), latest: LATEST }
    }
}

/// How many requests are due a second, at a time from the start. `None`: the end.
pub(crate) type Rate<'r> = &'r (dyn Fn(Duration) -> Option<f64> + Sync);

/// What was noted.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) latency: Latency,
    /// Of good answers, (seconds from the start when due, milliseconds).
    pub(crate) times: Vec<(f32, f32)>,
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Noted {
    fn new() -> Self {
        Self { latency: Latency::new(), times: Vec::new(), errors: BTreeMap::new() }
    }

    /// Of requests that were due then, and took so long from then on, or failed so.
    pub(super) fn of(told: Vec<(Duration, Result<Duration, String>)>) -> Self {
        let mut noted = Self::new();
        for (due, took) in told {
            match took {
                Ok(took) => noted.answer(due, took),
                Err(why) => *noted.errors.entry(why).or_default() += 1,
            }
        }
        noted
    }

    fn answer(&mut self, due: Duration, took: Duration) {
        self.latency.record(took);
        self.times.push((due.as_secs_f32(), took.as_secs_f32() * 1e3));
    }

    fn add(&mut self, part: Self) {
        self.latency.add(&part.latency);
        self.times.extend(part.times);
        for (kind, count) in part.errors {
            *self.errors.entry(kind).or_default() += count;
        }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.latency.count()
    }

    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// How many were answered a second, of those due in each `step` of time.
    pub(crate) fn answered_over_time(&self, step: f64) -> Vec<(f64, f64)> {
        let mut buckets: BTreeMap<u32, u32> = BTreeMap::new();
        for (at, _) in &self.times {
            *buckets.entry((f64::from(*at) / step) as u32).or_default() += 1;
        }
        buckets.into_iter().map(|(bucket, count)| (f64::from(bucket) * step, f64::from(count) / step)).collect()
    }

    /// The p99 of each `step` of time, in milliseconds.
    pub(crate) fn p99_over_time(&self, step: f64) -> Vec<(f64, f64)> {
        let mut buckets: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
        for (at, took) in &self.times {
            buckets.entry((f64::from(*at) / step) as u32).or_default().push(*took);
        }
        let p99 = |(bucket, mut times): (u32, Vec<f32>)| {
            times.sort_by(f32::total_cmp);
            let index = ((times.len() - 1) as f64 * 0.99).ceil() as usize;
            (f64::from(bucket) * step, f64::from(times[index]))
        };
        buckets.into_iter().map(p99).collect()
    }
}

/// What is asked, over how many connections, and how often; connections are kept, and each has a thread of its own.
pub(crate) type Load<'r> = (&'r Asked, u32, Rate<'r>);

pub(crate) fn run(asked: &Asked, connections: u32, rate: Rate<'_>) -> Noted {
    let [noted] = together([(asked, connections, rate)]);
    noted
}

/// Several loads at once. They begin a while after their threads were started: to start hundreds of them keeps a machine from
/// other work for longer than a request takes. Each sleeps until its own first request is due, and no word wakes them all.
pub(crate) fn together<const N: usize>(loads: [Load<'_>; N]) -> [Noted; N] {
    let all: u32 = loads.iter().map(|(_, connections, _)| connections).sum();
    let start = Instant::now() + LEAD + LEAD_PER_THREAD * all;
    thread::scope(|scope| {
        let threads = loads.map(|(asked, connections, rate)| {
            let of = f64::from(connections);
            let share = |n| move || one(asked, start, f64::from(n) / of, of, rate);
            (0..connections).map(|n| scope.spawn(share(n))).collect::<Vec<_>>()
        });
        threads.map(|threads| {
            let mut noted = Noted::new();
            threads.into_iter().filter_map(|thread| thread.join().ok()).for_each(|part| noted.add(part));
            noted
        })
    })
}

/// At a rate that stays the same.
pub(crate) fn steady(asked: &Asked, connections: u32, per_second: f64, time: Duration) -> Noted {
    run(asked, connections, &|at| (at < time).then_some(per_second))
}

/// One connection of `of`; its first request is due after a share of its own interval.
fn one(asked: &Asked, start: Instant, offset: f64, of: f64, rate: Rate<'_>) -> Noted {
    let mut noted = Noted::new();
    let mut connection = None;
    let mut next = next_due(Duration::ZERO, offset * of, rate);
    while let Some(due) = next {
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
        if start.elapsed() > due + asked.latest {
            *noted.errors.entry("not sent in time".to_owned()).or_default() += 1;
            next = next_due(due, of, rate);
            continue;
        }
        match ask(asked, &mut connection) {
            Ok(status) if status < 400 => noted.answer(due, Instant::now().saturating_duration_since(start + due)),
            Ok(status) => *noted.errors.entry(format!("status {status}")).or_default() += 1,
            Err(e) => {
                connection = None;
                *noted.errors.entry(format!("{:?}", e.kind()).to_lowercase()).or_default() += 1;
            }
        }
        next = next_due(due, of, rate);
    }
    noted
}

/// When one in `of` requests is due again. The rate may grow in between, so the time is gone through in small steps.
fn next_due(mut due: Duration, of: f64, rate: Rate<'_>) -> Option<Duration> {
    let mut missing = of;
    loop {
        let per_second = rate(due)?;
        let step = STEP.as_secs_f64().min(missing / per_second);
        missing -= step * per_second;
        due += Duration::from_secs_f64(step);
        if missing <= f64::EPSILON * of {
            return Some(due);
        }
    }
}

fn ask(asked: &Asked, connection: &mut Option<Connection<TcpStream>>) -> io::Result<u16> {
    if connection.as_ref().is_none_or(Connection::is_over) {
        *connection = Some(open(asked.address)?);
    }
    let Some(open) = connection else { return Err(io::ErrorKind::NotConnected.into()) };
    Ok(open.ask(asked.method, &asked.host, &asked.path, &asked.body)?.status)
}

fn open(address: SocketAddr) -> io::Result<Connection<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Connection::new(stream))
}

//! What does a small HTTP/2 request cost the proxy, and how long does it take, at a steady rate?

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::authority::Authority;
use crate::contender::{Contender, HOST, Job, Kind};
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::streams::Streams;
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "http2",
    question: "What does a small HTTP/2 request within TLS cost on a connection that is kept, and how long does it take, at a steady \
               2,000 a second over 8 connections?",
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx, Kind::NginxDebian, Kind::Envoy, Kind::Caddy, Kind::Traefik],
    measure,
    rounds: 2,
    plots: &[],
    remarks: &[
        (
            "CPU a request",
            "not broken down; what a request costs in 'http' is within it, beside frames and records. Next: count the instructions of \
             a stream",
        ),
        (
            "a request,",
            "the proxy's CPU a request is within each of them, and two cores are shared with the load and the app; less CPU is what \
             changes it",
        ),
    ],
};

const CONNECTIONS: u32 = 8;
const PER_SECOND: f64 = 2_000.0;
const MILLISECONDS: u32 = 4_000;
const WARM_UP: Duration = Duration::from_millis(500);

fn measure(turn: &Turn) -> io::Result<Reading> {
    let (app, authority) = (Sample::start("a")?, Authority::new()?);
    let contender = Contender::start(turn.kind, &Job::secured(app.address, authority.issue(HOST)?))?;
    let mut client = authority.friend()?;
    client.alpn_protocols = vec![b"h2".to_vec()];
    let streams = Streams::open(contender.https, &Arc::new(client), CONNECTIONS)?;
    let rate = PER_SECOND * turn.scale.max(0.1);
    streams.steady("/api/instance", rate, WARM_UP)?;

    let cpu = contender.cpu_time()?;
    let noted = streams.steady("/api/instance", rate, Duration::from_millis(u64::from(turn.scaled(MILLISECONDS, 800))))?;
    let spent = contender.cpu_time()?.saturating_sub(cpu);

    let mut reading = Reading::default();
    reading.put_cpu("CPU a request", spent, noted.answered());
    reading.put_latency("a request,", &noted.latency);
    reading.put("requests lost", Unit::Count, noted.failed() as f64);
    for (kind, count) in noted.errors {
        reading.count_error(kind, count);
    }
    Ok(reading)
}

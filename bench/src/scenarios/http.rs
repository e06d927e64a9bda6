//! What does a small HTTP/1.1 request cost the proxy, and how long does it take, at a steady rate? And with an access log?

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::contender::{self, Contender, Job, Kind};
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::pace::{self, Asked};
use crate::sample::Sample;

pub(crate) const STEADY: Scenario = Scenario {
    name: "http",
    question: "What does a small HTTP/1.1 request on a kept connection cost, and how long does it take, at a steady 3,000 a second?",
    contenders: contender::ALL,
    measure: measure_steady,
    rounds: 5,
    plots: &[],
    remarks: &[CPU, PARTS, CONNECTIONS_MADE, LATENCY],
};

/// Those that have an access log.
pub(crate) const LOGGED: Scenario = Scenario {
    name: "logged",
    question: "The same as 'http', and everyone writes a line for each request into a file: what does a request cost then?",
    contenders: &[
        Kind::Karman,
        Kind::Haproxy,
        Kind::Nginx,
        Kind::NginxDebian,
        Kind::Envoy,
        Kind::Caddy,
        Kind::Traefik,
        Kind::Sozu,
    ],
    measure: measure_logged,
    rounds: 5,
    plots: &[],
    remarks: &[
        ("CPU a request", "it is behind in 'http' too; what the log adds is the difference between the two"),
        PARTS,
        CONNECTIONS_MADE,
        LATENCY,
    ],
};

const CPU: (&str, &str) = (
    "CPU a request",
    "'pingora' is the library below with nothing of ours: up to its figure the cost is the library's, beyond it ours; \
     bench/README.md says what was broken down, and what comes next",
);
const PARTS: (&str, &str) = ("of it in", "a part of the CPU a request, in ticks of 10 ms; what changes that one changes this");
const CONNECTIONS_MADE: (&str, &str) = (
    "connections to the app",
    "one is made where none is idle at that instant, or the one that was is older than the 4 s for which all keep them; nothing is \
     to be gained at a few in a thousand",
);
const LATENCY: (&str, &str) = (
    "a request,",
    "the proxy's CPU a request is within each of them, and two cores are shared with the load and the app; less CPU is what changes it",
);

const CONNECTIONS: u32 = 32;
const PER_SECOND: f64 = 3_000.0;
const MILLISECONDS: u32 = 2_000;
const WARM_UP: Duration = Duration::from_millis(500);

fn measure_steady(turn: &Turn) -> io::Result<Reading> {
    measure(turn, Job::of_one)
}

fn measure_logged(turn: &Turn) -> io::Result<Reading> {
    measure(turn, |instance| Job { logged: true, ..Job::of_one(instance) })
}

fn measure(turn: &Turn, job: impl FnOnce(SocketAddr) -> Job) -> io::Result<Reading> {
    let app = Sample::start("a")?;
    let contender = Contender::start(turn.kind, &job(app.address))?;
    let asked = Asked::get(contender.address, "/api/instance");
    // A smaller run is a slower one too, for machines and builds that are slower.
    let rate = PER_SECOND * turn.scale.max(0.1);
    // What is only made once, such as the pool's connections, is not counted.
    pace::steady(&asked, CONNECTIONS, rate, WARM_UP);

    let (cpu, split, connections) = (contender.cpu_time()?, contender.cpu_split()?, app.connections()?);
    let time = Duration::from_millis(u64::from(turn.scaled(MILLISECONDS, 800)));
    let noted = pace::steady(&asked, CONNECTIONS, rate, time);
    let spent = contender.cpu_time()?.saturating_sub(cpu);
    let after = contender.cpu_split()?;
    // The question itself made one of them.
    let connections = app.connections()?.saturating_sub(connections + 1);

    let mut reading = Reading::default();
    reading.put_cpu("CPU a request", spent, noted.answered());
    let (user, kernel) = (after.user.saturating_sub(split.user), after.kernel.saturating_sub(split.kernel));
    let kernel = kernel.as_secs_f64() / (user + kernel).as_secs_f64().max(1e-9);
    reading.put_cpu("of it in user mode", spent.mul_f64(1.0 - kernel), noted.answered());
    reading.put_cpu("of it in the kernel", spent.mul_f64(kernel), noted.answered());
    let a_thousand = connections as f64 * 1e3 / noted.answered().max(1) as f64;
    reading.put("connections to the app for 1,000 requests", Unit::Count, a_thousand);
    reading.put_latency("a request,", &noted.latency);
    for (kind, count) in noted.errors {
        reading.count_error(kind, count);
    }
    Ok(reading)
}

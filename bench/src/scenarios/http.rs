//! What does a small HTTP/1.1 request cost the proxy, and how long does it take, at a steady rate?

use std::io;
use std::time::Duration;

use crate::contender::{self, Contender, Job};
use crate::lab::{Reading, Scenario, Turn};
use crate::load::pace::{self, Asked};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "http",
    question: "What does a small HTTP/1.1 request on a kept connection cost, and how long does it take, at a steady 3,000 a second?",
    contenders: contender::ALL,
    measure,
    plots: &[],
    remarks: &[(
        "CPU a request",
        "pingora's request path is most of it: two tasks and a channel for each request, header maps, a watcher of each idle \
             connection; bench/README.md has the parts and what would remove them",
    )],
};

const CONNECTIONS: u32 = 32;
const PER_SECOND: f64 = 3_000.0;
const SECONDS: u32 = 4;

fn measure(turn: &Turn) -> io::Result<Reading> {
    let app = Sample::start("a")?;
    let contender = Contender::start(turn.kind, &Job::of_one(app.address))?;
    let asked = Asked::get(contender.address, "/api/instance");
    // What is only made once, such as the pool's connections, is not counted.
    pace::steady(&asked, CONNECTIONS, PER_SECOND, Duration::from_millis(500));

    let (cpu, split) = (contender.cpu_time()?, contender.cpu_split()?);
    let time = Duration::from_millis(u64::from(turn.scaled(SECONDS * 1_000, 300)));
    let noted = pace::steady(&asked, CONNECTIONS, PER_SECOND, time);
    let spent = contender.cpu_time()?.saturating_sub(cpu);
    let after = contender.cpu_split()?;

    let mut reading = Reading::default();
    reading.put_cpu("CPU a request", spent, noted.answered());
    let (user, kernel) = (after.user.saturating_sub(split.user), after.kernel.saturating_sub(split.kernel));
    let kernel = kernel.as_secs_f64() / (user + kernel).as_secs_f64().max(1e-9);
    reading.put_cpu("of it in user mode", spent.mul_f64(1.0 - kernel), noted.answered());
    reading.put_cpu("of it in the kernel", spent.mul_f64(kernel), noted.answered());
    reading.put_latency("a request,", &noted.latency);
    for (kind, count) in noted.errors {
        reading.count_error(kind, count);
    }
    Ok(reading)
}

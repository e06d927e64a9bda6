//! Does one app's storm cost another app's users anything?

use std::io;
use std::time::Duration;

use crate::contender::{Bound, Contender, Job, Kind, NEIGHBOUR};
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::pace::{self, Asked};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "neighbour",
    question: "One app storms: 3,000 requests a second to an instance that takes a second for each. It may have 200 at once and 100 that \
               wait. What does its neighbour's p99 become?",
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx, Kind::Envoy],
    measure,
    rounds: 3,
    plots: &[],
    remarks: &[
        ("the neighbour in the calm,", "a request costs more CPU, see 'http'"),
        (
            "the neighbour in the storm,",
            "not the edge alone: the first requests of the storm's 400 threads hold up the lab itself, whoever is measured, and each second \
             200 of them are answered together; a request costs more CPU, see 'http'",
        ),
    ],
};

/// HAProxy has it as `maxconn` of the server and a refusal by the length of the queue, Envoy as circuit breakers of the cluster.
/// nginx has a limit of connections and one of a rate with a burst, and nothing that waits for a place at the instance.
const BOUND: Bound = Bound { in_flight: 200, queue: 100, per_second: 200 };
/// Of the calm, and of the storm.
const MILLISECONDS: u32 = 3_000;
const QUIET_CONNECTIONS: u32 = 4;
const QUIET_PER_SECOND: f64 = 200.0;
const NOISY_PER_SECOND: f64 = 3_000.0;
const NOISY_CONNECTIONS: u32 = 400;
/// The storm is over when its time is, and does not send what it is behind with.
const NOISY_LATEST: Duration = Duration::from_millis(1_500);

fn measure(turn: &Turn) -> io::Result<Reading> {
    let (calm_app, busy_app) = (Sample::start("quiet")?, Sample::start("noisy")?);
    let job = Job { neighbour: Some(busy_app.address), bound: Some(BOUND), ..Job::of_one(calm_app.address) };
    let contender = Contender::start(turn.kind, &job)?;
    let time = Duration::from_millis(u64::from(turn.scaled(MILLISECONDS, 500)));
    let quiet = Asked::get(contender.address, "/api/instance");
    let noisy = Asked { host: NEIGHBOUR.to_owned(), latest: NOISY_LATEST, ..Asked::get(contender.address, "/api/slow?ms=1000") };
    let calm = pace::steady(&quiet, QUIET_CONNECTIONS, QUIET_PER_SECOND, time);
    let rate = NOISY_PER_SECOND * turn.scale.max(0.1);
    let [stormy, storm] = pace::together([
        (&quiet, QUIET_CONNECTIONS, &|at| (at < time).then_some(QUIET_PER_SECOND)),
        (&noisy, NOISY_CONNECTIONS, &|at| (at < time).then_some(rate)),
    ]);
    let mut reading = Reading::default();
    reading.put_latency("the neighbour in the calm,", &calm.latency);
    reading.put_latency("the neighbour in the storm,", &stormy.latency);
    reading.put("the neighbour's requests lost", Unit::Count, (calm.failed() + stormy.failed()) as f64);
    reading.put("the storm, answered", Unit::Number, storm.answered() as f64);
    for (kind, count) in storm.errors {
        reading.count_error(format!("the storm: {kind}"), count);
    }
    Ok(reading)
}

//! How does the proxy take a crowd that is there within a second, and gone again?

use std::io;

use crate::contender::{Contender, Job, Kind};
use crate::lab::{Panel, Plot, Reading, Scenario, Turn, Unit};
use crate::load::pace::{self, Asked};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "flash",
    question: "From 100 requests a second to 20,000 within a second, and back: how late are answers, and for how long?",
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx, Kind::Pingora, Kind::Envoy, Kind::Go],
    measure,
    rounds: 2,
    plots: &[Plot {
        file: "latency",
        title: "A crowd comes within a second, stays for two, and goes",
        x: "seconds",
        panels: &[
            Panel { series: "p99, ms", y: "p99 of the requests due in each 100 ms, ms" },
            Panel { series: "answered a second", y: "answered a second, of those due in each 100 ms" },
        ],
    }],
    remarks: &[
        (
            "the crowd,",
            "load, proxy and app share two cores, so a request may cost all of them 100 us; load and app take 42 of these, and whoever takes \
             more than the rest, see 'http', answers late. The picture shows how many",
        ),
        (
            "from its end",
            "the crowd that could not be answered in time is answered late; the CPU a request decides how late, see 'http'",
        ),
    ],
};

const CALM: f64 = 100.0;
const CROWD: f64 = 20_000.0;
const CONNECTIONS: u32 = 128;
const STEP: f64 = 0.1;

/// In seconds: the crowd comes, is there, has gone, and it is quiet again.
const COMES: f64 = 1.0;
const THERE: f64 = 2.0;
const GOES: f64 = 4.0;
const GONE: f64 = 5.0;
const END: f64 = 8.0;

fn measure(turn: &Turn) -> io::Result<Reading> {
    let app = Sample::start("a")?;
    let contender = Contender::start(turn.kind, &Job::of_one(app.address))?;
    let asked = Asked::get(contender.address, "/api/instance");
    let crowd = CROWD * turn.scale;
    let noted = pace::run(&asked, CONNECTIONS, &|at| rate(at.as_secs_f64(), crowd));

    let mut reading = Reading::default();
    reading.put_latency("the crowd,", &noted.latency);
    let over_time = noted.p99_over_time(STEP);
    let settled = over_time.iter().rfind(|(at, p99)| *at > GONE && *p99 > 100.0).map_or(GONE, |(at, _)| *at + STEP);
    reading.put("from its end until p99 is below 100 ms", Unit::Seconds, settled - GONE);
    let lost = noted.failed() as f64 / (noted.failed() + noted.answered()).max(1) as f64;
    reading.put("requests lost", Unit::Share, lost * 100.0);
    reading.put_series("p99, ms", over_time);
    reading.put_series("answered a second", noted.answered_over_time(STEP));
    for (kind, count) in noted.errors {
        reading.count_error(kind, count);
    }
    Ok(reading)
}

/// Pure: how many requests are due a second. Within the second in which a crowd comes its rate grows evenly.
fn rate(at: f64, crowd: f64) -> Option<f64> {
    let share = if !(COMES..GONE).contains(&at) {
        0.0
    } else if at < THERE {
        (at - COMES) / (THERE - COMES)
    } else if at < GOES {
        1.0
    } else {
        (GONE - at) / (GONE - GOES)
    };
    (at < END).then_some(CALM + (crowd - CALM).max(0.0) * share)
}

//! Does a drain keep to its pace, hurt no frame, and leave the neighbours alone?

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{Contender, HOST, Job, Kind};
use crate::lab::{Panel, Plot, Reading, Scenario, Turn, Unit};
use crate::load::most_within_a_second;
use crate::load::pace::{self, Asked, Noted};
use crate::load::standing::{End, Standing};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "drain",
    question: "2,000 sockets of a draining instance, 200 a second allowed: how fast are they closed, and does a neighbour notice? \
               And when the proxy was upgraded before?",
    contenders: &[Kind::Karman],
    measure,
    rounds: 1,
    plots: &[Plot {
        file: "closes",
        title: "A drain of 2,000 sockets at 200 a second",
        x: "seconds from the drain's start",
        panels: &[
            Panel { series: "closed a second", y: "closed a second" },
            Panel { series: "closed a second, after an upgrade", y: "closed a second, by the old process after an upgrade" },
        ],
    }],
    remarks: &[],
};

const SOCKETS: u32 = 2_000;
const PER_SECOND: u32 = 200;
const NEIGHBOUR: &str = "beside.example.com";
const NEIGHBOUR_PER_SECOND: f64 = 200.0;
const NEIGHBOUR_CONNECTIONS: u32 = 4;
/// The neighbour is looked at for so long at rest, and for as long within the drain, which takes 10 s.
const LOOK: Duration = Duration::from_secs(8);
/// Longer than the whole drain may take by its window of 30 s.
const PATIENCE: Duration = Duration::from_secs(40);

fn measure(turn: &Turn) -> io::Result<Reading> {
    let mut reading = Reading::default();
    one(turn, false, &mut reading)?;
    one(turn, true, &mut reading)?;
    Ok(reading)
}

fn one(turn: &Turn, upgraded: bool, reading: &mut Reading) -> io::Result<()> {
    let suffix = if upgraded { ", after an upgrade" } else { "" };
    let (leaving, taking, beside) = (Sample::start("a")?, Sample::start("b")?, Sample::start("c")?);
    let mut contender = Contender::start(turn.kind, &Job::of_one(leaving.address))?;
    let address = contender.address;
    let Some(karman) = contender.karman() else { return Err(io::Error::other("only Karman is drained here")) };
    let document = |state: &str, taking: &str| {
        format!(
            r#""todos":{{"hosts":["{HOST}"],"limits":{{"sockets_per_second":{PER_SECOND}}},"warm_seconds":0,"instances":{{
            "i0":{{"address":"{}","state":"{state}"}}{taking}}}}},
            "beside":{{"hosts":["{NEIGHBOUR}"],"instances":{{"c":{{"address":"{}"}}}}}}"#,
            leaving.address, beside.address
        )
    };
    // Opened without the gate, which is not what is measured.
    let standing = Standing::open(address, turn.scaled(SOCKETS, 60))?;
    karman.put_apps(2, &document("ready", ""))?;
    if upgraded {
        karman.upgrade()?;
    }

    let look = LOOK.mul_f64(turn.scale.max(0.1));
    let calm = neighbour(address, look);
    let start = Instant::now();
    karman.put_apps(3, &document("draining", &format!(r#","b":{{"address":"{}"}}"#, taking.address)))?;
    let during = thread::scope(|scope| {
        let load = scope.spawn(|| neighbour(address, look));
        while standing.count() > 0 && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        load.join().map_err(|_| io::Error::other("the neighbour's load panicked"))
    })?;

    let ends = standing.ends();
    let took = ends.last().map_or(PATIENCE, |end| end.at - start);
    reading.put(&format!("all closed after{suffix}"), Unit::Seconds, took.as_secs_f64());
    reading.put(
        &format!("most closed within a second{suffix}"),
        Unit::Count,
        most_within_a_second(ends.iter().map(|end| end.at)) as f64,
    );
    reading.put(&format!("left open{suffix}"), Unit::Count, f64::from(standing.count()));
    reading.put(
        &format!("cut, or closed inside a frame{suffix}"),
        Unit::Count,
        ends.iter().filter(|end| !end.clean).count() as f64,
    );
    reading.put_latency(&format!("the neighbour before{suffix},"), &calm.latency);
    reading.put_latency(&format!("the neighbour meanwhile{suffix},"), &during.latency);
    reading.count_error(format!("the neighbour's requests lost{suffix}"), calm.failed() + during.failed());
    reading.put_series(&format!("closed a second{suffix}"), a_second(&ends, start));
    Ok(())
}

fn neighbour(address: std::net::SocketAddr, time: Duration) -> Noted {
    let asked = Asked { host: NEIGHBOUR.to_owned(), ..Asked::get(address, "/api/instance") };
    pace::steady(&asked, NEIGHBOUR_CONNECTIONS, NEIGHBOUR_PER_SECOND, time)
}

/// Pure: ends a second, in steps of half a second.
fn a_second(ends: &[End], start: Instant) -> Vec<(f64, f64)> {
    const STEP: f64 = 0.5;
    let mut steps: Vec<f64> = Vec::new();
    for end in ends {
        let step = ((end.at - start).as_secs_f64() / STEP) as usize;
        steps.resize(steps.len().max(step + 1), 0.0);
        steps[step] += 1.0 / STEP;
    }
    steps.into_iter().enumerate().map(|(n, count)| (n as f64 * STEP, count)).collect()
}

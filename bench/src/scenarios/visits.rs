//! What does a visitor cost the app, and what does a deploy cost a visitor?

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::accounting;
use crate::contender::{Contender, Job, Kind};
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::Latency;
use crate::load::herd::{Happened, Herd, Terms, first_live, gaps};
use crate::sample::Sample;

/// The page, `/sockjs/info`, a WebSocket, `connect` and two subscriptions.
pub(crate) const COLD: Scenario = Scenario {
    name: "visit",
    question: "A cold visit, 100 a second: how long until there is live data, and what does a visitor cost the app and the proxy?",
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx, Kind::Envoy, Kind::Go],
    measure: cold,
    rounds: 3,
    plots: &[],
    remarks: &[
        ("CPU of the proxy", "not broken down; a visitor makes four requests, and 'http' says what one costs"),
        ("until live data,", "four requests one after the other, each with the proxy's CPU within it; see 'http'"),
    ],
};

/// By the means that each has: Karman drains the old release at the pace that the new one admits; the others are given the new
/// one, and then the old one stops.
pub(crate) const DEPLOY: Scenario = Scenario {
    name: "deploy",
    question: "A new release replaces the old one under 600 visitors: how long is each without live data?",
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx],
    measure: deploy,
    rounds: 2,
    plots: &[],
    remarks: &[
        (
            "until the last",
            "a drain takes as long as the new release admits sockets, on purpose; the peers drop all of them at once",
        ),
        ("CPU of the new release", "not broken down; its visitors come at a pace, where the peers' come all at once"),
    ],
};

const VISITORS: u32 = 400;
const VISITORS_PER_SECOND: f64 = 100.0;
const STAYING: u32 = 600;
const ADMITTED: u32 = 200;
const PATIENCE: Duration = Duration::from_secs(40);

fn cold(turn: &Turn) -> io::Result<Reading> {
    let app = Sample::start("a")?;
    let contender = Contender::start(turn.kind, &Job::of_one(app.address))?;
    let visitors = turn.scaled(VISITORS, 30);
    let (of_app, of_proxy) = (accounting::cpu_time(&[app.id()])?, contender.cpu_time()?);
    let terms = Terms { page: Some("/".to_owned()), ..Terms::of_sample(contender.address, visitors, VISITORS_PER_SECOND) };
    let herd = Herd::start(terms)?;
    if !herd.wait_until_live(visitors as usize, PATIENCE) {
        return Err(io::Error::other(format!("{} of {visitors} visitors have live data", herd.live())));
    }
    let mut reading = Reading::default();
    reading.put_cpu("CPU of the app a visitor", accounting::cpu_time(&[app.id()])?.saturating_sub(of_app), visitors.into());
    reading.put_cpu("CPU of the proxy a visitor", contender.cpu_time()?.saturating_sub(of_proxy), visitors.into());
    reading.put_latency("until live data,", &Latency::of(first_live(&herd.events()).into_iter().flatten()));
    count_refusals(&herd, &mut reading);
    Ok(reading)
}

fn deploy(turn: &Turn) -> io::Result<Reading> {
    let visitors = turn.scaled(STAYING, 40);
    let mut old = Sample::start("old")?;
    let new = Sample::start("new")?;
    let mut job = Job::of_one(old.address);
    let contender = Contender::start(turn.kind, &job)?;
    let herd = Herd::start(Terms::of_sample(contender.address, visitors, 300.0))?;
    if !herd.wait_until_live(visitors as usize, PATIENCE) {
        return Err(io::Error::other(format!("{} of {visitors} visitors have live data", herd.live())));
    }

    let before = accounting::cpu_time(&[new.id()])?;
    let start = Instant::now();
    job.fields = format!(r#","limits":{{"sockets_per_second":{ADMITTED}}},"warm_seconds":0"#);
    // The old instance leaves: Karman drains what it had, the others give it no new client.
    job.instances = vec![old.address, new.address];
    contender.change(&job)?;
    job.instances = vec![new.address];
    contender.change(&job)?;
    if turn.kind != Kind::Karman {
        old.kill()?;
    }
    let came_over = || gaps(&herd.events(), start).iter().flatten().count();
    while came_over() < visitors as usize && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
    let took = start.elapsed();
    let gaps = gaps(&herd.events(), start);
    let mut reading = Reading::default();
    let missing = (visitors as usize).saturating_sub(gaps.iter().flatten().count());
    reading.put("visitors that did not come over", Unit::Count, missing as f64);
    reading.put_latency("without live data,", &Latency::of(gaps.into_iter().flatten()));
    reading.put("until the last came over", Unit::Seconds, took.as_secs_f64());
    reading.put_cpu(
        "CPU of the new release a visitor",
        accounting::cpu_time(&[new.id()])?.saturating_sub(before),
        visitors.into(),
    );
    count_refusals(&herd, &mut reading);
    Ok(reading)
}

fn count_refusals(herd: &Herd, reading: &mut Reading) {
    for event in herd.events() {
        if let Happened::Refused { why } = event.happened {
            reading.count_error(why, 1);
        }
    }
}

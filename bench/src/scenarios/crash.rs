//! What do the users of an instance that dies see, and what do the survivors?

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{Contender, Job, Kind};
use crate::lab::{Panel, Plot, Reading, Scenario, Turn, Unit};
use crate::load::herd::{Event, Happened, Herd, Terms, opened_over_time, share_live_over_time, without_live_data};
use crate::load::most_within_a_second;
use crate::sample::Sample;

const PLOT: Plot = Plot {
    file: "storm",
    title: "An instance dies under its Meteor clients",
    x: "seconds; it dies at 2",
    panels: &[
        Panel { series: "new sockets a second", y: "new sockets a second at the app" },
        Panel { series: "clients with live data, %", y: "clients with live data, %" },
    ],
};

/// One of three instances is killed.
pub(crate) const ONE_OF_THREE: Scenario = Scenario {
    name: "crash",
    question: "kill -9 of one of three instances with 2,000 Meteor clients on it, the others admit 200 sockets a second each: how fast do \
               its clients come back, and at what rate?",
    contenders: &[Kind::Karman, Kind::KarmanPlain, Kind::Haproxy, Kind::Nginx],
    measure: one_of_three,
    rounds: 1,
    plots: &[PLOT],
    remarks: &[(
        "without live data",
        "it is the price of the pace, clients over admitted sockets a second: whoever lets all of them in at once has them back \
             sooner, if the survivors can take it, as the sample app can",
    )],
};

/// The only instance is killed and starts again.
pub(crate) const THE_ONLY_ONE: Scenario = Scenario {
    name: "restart",
    question: "kill -9 of an app's only instance with 2,000 Meteor clients on it, which is back after 20 s: how late are they after it?",
    // Not 'karman-plain': it too holds a request until the app is back.
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx],
    measure: the_only_one,
    rounds: 1,
    plots: &[PLOT],
    remarks: &[(
        "most new sockets within a second",
        "on purpose: all clients were kept, the app says that it takes 2,000 a second, and they are let go at that pace; the peers' clients \
         come late because they gave up and wait out Meteor's own delays",
    )],
};

const CLIENTS: u32 = 2_000;
/// New sockets a second that an instance admits.
const ADMITTED: u32 = 200;
const SETTLE: Duration = Duration::from_secs(30);
/// Seen before the death.
const BEFORE: Duration = Duration::from_secs(2);
const OUTAGE: Duration = Duration::from_secs(20);
const STEP: f64 = 0.25;

fn one_of_three(turn: &Turn) -> io::Result<Reading> {
    let clients = turn.scaled(CLIENTS, 60);
    let mut doomed = Sample::start("doomed")?;
    let survivors = [Sample::start("b")?, Sample::start("c")?];
    let mut job = Job::of_one(doomed.address);
    let contender = Contender::start(turn.kind, &job)?;
    // All of them bind to the one instance while it is alone; then the others come.
    let herd = gather(&contender, clients)?;
    job.instances.extend(survivors.iter().map(|survivor| survivor.address));
    job.fields = terms(turn.kind, ADMITTED);
    contender.change(&job)?;

    let death = die(&mut doomed)?;
    let expected = f64::from(clients) / f64::from(2 * ADMITTED);
    wait_until_back(&herd, &death, Duration::from_secs_f64(expected * 3.0 + 30.0));
    let mut reading = Reading::default();
    tell(&herd, &death, death.at, clients, &mut reading);
    Ok(reading)
}

fn the_only_one(turn: &Turn) -> io::Result<Reading> {
    let clients = turn.scaled(CLIENTS, 60);
    let mut doomed = Sample::start("doomed")?;
    let mut job = Job::of_one(doomed.address);
    let contender = Contender::start(turn.kind, &job)?;
    let herd = gather(&contender, clients)?;
    // As many as there are: what is asked is how long they wait for the app, not for each other.
    job.fields = terms(turn.kind, CLIENTS);
    contender.change(&job)?;

    let death = die(&mut doomed)?;
    thread::sleep(OUTAGE.mul_f64(turn.scale.max(0.2)));
    doomed.start_again()?;
    let back = Instant::now();
    wait_until_back(&herd, &death, Duration::from_secs(60));
    let mut reading = Reading::default();
    tell(&herd, &death, back, clients, &mut reading);
    Ok(reading)
}

/// Further fields of the app's document.
fn terms(kind: Kind, admitted: u32) -> String {
    match kind {
        Kind::KarmanPlain => {
            r#","limits":{"sockets_per_second":0},"on_crash":{"then":"close"},"sockjs":{"info":"app"}"#.to_owned()
        }
        _ => format!(r#","limits":{{"sockets_per_second":{admitted}}},"warm_seconds":0"#),
    }
}

fn gather(contender: &Contender, clients: u32) -> io::Result<Herd> {
    let herd = Herd::start(Terms::of_sample(contender.address, clients, 500.0))?;
    if herd.wait_until_live(clients as usize, SETTLE) {
        Ok(herd)
    } else {
        Err(io::Error::other(format!("{} of {clients} clients have live data after {SETTLE:?}", herd.live())))
    }
}

struct Death {
    /// Where the pictures begin.
    seen_from: Instant,
    at: Instant,
}

fn die(doomed: &mut Sample) -> io::Result<Death> {
    let seen_from = Instant::now();
    thread::sleep(BEFORE);
    let at = Instant::now();
    doomed.kill()?;
    Ok(Death { seen_from, at })
}

fn wait_until_back(herd: &Herd, death: &Death, patience: Duration) {
    let start = Instant::now();
    let missing = || without_live_data(&herd.events(), "doomed", death.at).iter().any(Option::is_none);
    while start.elapsed() < patience && missing() {
        thread::sleep(Duration::from_millis(100));
    }
}

/// `back`: from when on somebody could take them.
fn tell(herd: &Herd, death: &Death, back: Instant, clients: u32, reading: &mut Reading) {
    let events = herd.events();
    let without = without_live_data(&events, "doomed", death.at);
    let outage = back - death.at;
    let mut late: Vec<Duration> = without.iter().flatten().map(|time| time.saturating_sub(outage)).collect();
    late.sort();
    let at = |share: f64| late.get(((without.len() as f64 * share) as usize).min(without.len().saturating_sub(1)));
    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("the last", 1.0)] {
        if let Some(time) = at(share) {
            reading.put(&format!("without live data, {name}"), Unit::Seconds, time.as_secs_f64());
        }
    }
    reading.put("still without", Unit::Count, without.iter().filter(|time| time.is_none()).count() as f64);
    let after: Vec<&Event> = events.iter().filter(|event| event.at >= death.at).collect();
    let opened = after.iter().filter(|event| matches!(event.happened, Happened::Opened { .. })).map(|event| event.at);
    reading.put("most new sockets within a second", Unit::Count, most_within_a_second(opened) as f64);
    let polling = after.iter().filter(|event| event.happened == Happened::Opened { polling: true }).count();
    reading.put("fell back to polling", Unit::Count, polling as f64);
    let refused = after.iter().filter(|event| matches!(event.happened, Happened::Refused { .. })).count();
    reading.put("refused attempts", Unit::Count, refused as f64);
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for event in after {
        if let Happened::Refused { why } = &event.happened {
            *kinds.entry(why).or_default() += 1;
        }
    }
    kinds.into_iter().for_each(|(why, count)| reading.count_error(why, count));

    let end = death.seen_from.elapsed();
    reading.put_series("new sockets a second", opened_over_time(&events, death.seen_from, STEP));
    let start_to_death = death.at - death.seen_from;
    reading.put_series("clients with live data, %", share_live_over_time(&without, clients as usize, start_to_death, end, STEP));
}

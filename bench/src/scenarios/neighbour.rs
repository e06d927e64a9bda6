//! Does one app's storm cost another app's users anything?

use std::io;
use std::thread;
use std::time::Duration;

use crate::contender::{Karman, Kind};
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::pace::{self, Asked};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "neighbour",
    question: "One app storms: 3,000 requests a second to an instance that takes a second for each. What does its neighbour's p99 become?",
    contenders: &[Kind::Karman],
    measure,
    rounds: 3,
    plots: &[],
    remarks: &[],
};

const QUIET: &str = "quiet.example.com";
const NOISY: &str = "noisy.example.com";
const QUIET_CONNECTIONS: u32 = 4;
const QUIET_PER_SECOND: f64 = 200.0;
const NOISY_PER_SECOND: f64 = 3_000.0;
const NOISY_CONNECTIONS: u32 = 400;
/// The storm is over when its time is, and does not send what it is behind with.
const NOISY_LATEST: Duration = Duration::from_millis(1_500);

fn measure(turn: &Turn) -> io::Result<Reading> {
    let (calm_app, busy_app) = (Sample::start("quiet")?, Sample::start("noisy")?);
    let karman = Karman::start()?;
    karman.put_apps(
        1,
        &format!(
            r#""quiet":{{"hosts":["{QUIET}"],"instances":{{"a":{{"address":"{}"}}}}}},
            "noisy":{{"hosts":["{NOISY}"],"instances":{{"a":{{"address":"{}"}}}},"limits":{{"requests_in_flight":200,"queue":100}}}}"#,
            calm_app.address, busy_app.address
        ),
    )?;
    let time = Duration::from_millis(u64::from(turn.scaled(4_000, 500)));
    let quiet = Asked { host: QUIET.to_owned(), ..Asked::get(karman.http, "/api/instance") };
    let noisy = Asked { host: NOISY.to_owned(), latest: NOISY_LATEST, ..Asked::get(karman.http, "/api/slow?ms=1000") };
    let calm = pace::steady(&quiet, QUIET_CONNECTIONS, QUIET_PER_SECOND, time);
    let rate = NOISY_PER_SECOND * turn.scale.max(0.1);
    let (stormy, storm) = thread::scope(|scope| {
        let storm = scope.spawn(|| pace::steady(&noisy, NOISY_CONNECTIONS, rate, time));
        let stormy = pace::steady(&quiet, QUIET_CONNECTIONS, QUIET_PER_SECOND, time);
        storm.join().map(|storm| (stormy, storm)).map_err(|_| io::Error::other("the storm panicked"))
    })?;
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

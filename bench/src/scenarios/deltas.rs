//! Do 9,000 open sockets notice 1,000 changes of other apps?

use std::io;
use std::time::Instant;

use crate::contender::{Contender, HOST, Job, Kind};
use crate::lab::{Panel, Plot, Reading, Scenario, Turn, Unit};
use crate::load::Latency;
use crate::load::standing::Standing;
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "deltas",
    question: "9,000 open sockets, and 1,000 changes that add, change and remove other apps: is one of them closed, does memory grow?",
    contenders: &[Kind::Karman],
    measure,
    rounds: 3,
    plots: &[Plot {
        file: "memory",
        title: "9,000 sockets over 1,000 changes of other apps",
        x: "changes",
        panels: &[
            Panel { series: "open sockets", y: "open sockets" },
            Panel { series: "memory, MB", y: "memory of the proxy, MB" },
        ],
    }],
    remarks: &[],
};

/// Two files each in the proxy, whose limit here is 20,000.
const SOCKETS: u32 = 9_000;
const CHANGES: u32 = 1_000;
/// Changes between two looks.
const LOOK: u32 = 20;

fn measure(turn: &Turn) -> io::Result<Reading> {
    let app = Sample::start("a")?;
    let mut contender = Contender::start(turn.kind, &Job::of_one(app.address))?;
    let standing = Standing::open(contender.address, turn.scaled(SOCKETS, 100))?;
    let opened = standing.count();
    let before = contender.memory()?;
    let (mut sockets, mut memory, mut latency) = (Vec::new(), Vec::new(), Latency::new());
    for n in 0..turn.scaled(CHANGES, 30) {
        let start = Instant::now();
        if let Some(karman) = contender.karman() {
            karman.change("PATCH", &delta(n))?;
        }
        latency.record(start.elapsed());
        if n % LOOK == 0 {
            sockets.push((f64::from(n), f64::from(standing.count())));
            memory.push((f64::from(n), contender.memory()? as f64 / 1e6));
        }
    }
    let mut reading = Reading::default();
    reading.put("sockets open", Unit::Number, f64::from(opened));
    reading.put("of them closed by the changes", Unit::Count, standing.ends().len() as f64);
    reading.put("memory before", Unit::Megabytes, before as f64 / 1e6);
    reading.put("memory after", Unit::Megabytes, contender.memory()? as f64 / 1e6);
    reading.put_latency("a change, until on disk,", &latency);
    reading.put_series("open sockets", sockets);
    reading.put_series("memory, MB", memory);
    Ok(reading)
}

/// In turn: another app comes, moves to another address, and goes.
fn delta(n: u32) -> String {
    let (base, generation, app) = (n + 1, n + 2, n / 3);
    let change = match n % 3 {
        2 => format!(r#""remove":["other-{app}"]"#),
        step => format!(
            r#""put":{{"other-{app}":{{"hosts":["other-{app}.{HOST}"],"instances":{{"i":{{"address":"10.0.0.{}:3000"}}}}}}}}"#,
            step + 1
        ),
    };
    format!(r#"{{"generation":{generation},"base":{base},{change}}}"#)
}

//! What do open sockets and requests notice of the proxy's own change of configuration, and of its own upgrade?

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{Contender, Job, Kind};
use crate::lab::{Panel, Plot, Reading, Scenario, Turn, Unit};
use crate::load::pace::{self, Asked};
use crate::load::standing::Standing;
use crate::sample::Sample;

/// By the means that each has: Karman is sent a document and started with `--upgrade`; nginx and HAProxy read their files again, the
/// former on SIGHUP, the latter by a new process of the same master.
pub(crate) const SCENARIO: Scenario = Scenario {
    name: "upgrade",
    question: "1,000 sockets and 1,000 requests a second through 16 changes of the configuration and an upgrade of the proxy: what breaks?",
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx],
    measure,
    rounds: 1,
    plots: &[Plot {
        file: "sockets",
        title: "16 changes of the configuration from second 2 on, one every half second; Karman is upgraded at 11",
        x: "seconds",
        panels: &[
            Panel { series: "open sockets", y: "open sockets" },
            Panel { series: "memory, MB", y: "memory of all the proxy's processes, MB" },
        ],
    }],
    remarks: &[
        ("a request,", "the proxy's CPU a request is within each of them; see 'http'"),
        (
            "memory",
            "not broken down: tables, pools and threads' stacks of a process that idles come first, and after an upgrade there are two",
        ),
    ],
};

const SOCKETS: u32 = 1_000;
const CONNECTIONS: u32 = 16;
const PER_SECOND: f64 = 1_000.0;
const CHANGES: u32 = 16;
/// In seconds from the start.
const FIRST_CHANGE: f64 = 2.0;
const BETWEEN: f64 = 0.5;
const UPGRADE: f64 = 11.0;
const END: f64 = 14.0;
const LOOK: Duration = Duration::from_millis(100);

fn measure(turn: &Turn) -> io::Result<Reading> {
    let (app, other) = (Sample::start("a")?, Sample::start("b")?);
    let alone = Job::of_one(app.address);
    let both = Job { instances: vec![app.address, other.address], ..alone.clone() };
    let mut contender = Contender::start(turn.kind, &alone)?;
    let standing = Standing::open(contender.address, turn.scaled(SOCKETS, 50))?;
    let opened = standing.count();
    let before = contender.memory()?;
    let asked = Asked::get(contender.address, "/api/instance");
    let (mut sockets, mut memory) = (Vec::new(), Vec::new());
    let rate = PER_SECOND * turn.scale.max(0.1);

    let noted = thread::scope(|scope| {
        let load = scope.spawn(|| pace::steady(&asked, CONNECTIONS, rate, Duration::from_secs_f64(END)));
        let start = Instant::now();
        let (mut changes, mut upgraded) = (0, false);
        while start.elapsed().as_secs_f64() < END {
            let now = start.elapsed().as_secs_f64();
            if changes < CHANGES && now >= FIRST_CHANGE + f64::from(changes) * BETWEEN {
                changes += 1;
                // The sockets' own instance stays in all of them.
                contender.change(if changes % 2 == 1 { &both } else { &alone })?;
            }
            if !upgraded && now >= UPGRADE {
                upgraded = true;
                if let Some(karman) = contender.karman() {
                    karman.upgrade()?;
                }
            }
            sockets.push((now, f64::from(standing.count())));
            memory.push((now, contender.memory()? as f64 / 1e6));
            thread::sleep(LOOK);
        }
        load.join().map_err(|_| io::Error::other("the load panicked"))
    })?;

    let mut reading = Reading::default();
    reading.put("sockets open", Unit::Number, f64::from(opened));
    reading.put("sockets closed", Unit::Count, f64::from(opened - standing.count()));
    reading.put("requests failed", Unit::Count, noted.failed() as f64);
    reading.put_latency("a request,", &noted.latency);
    reading.put("memory before", Unit::Megabytes, before as f64 / 1e6);
    reading.put("memory at the end", Unit::Megabytes, contender.memory()? as f64 / 1e6);
    reading.put_series("open sockets", sockets);
    reading.put_series("memory, MB", memory);
    for (kind, count) in noted.errors {
        reading.count_error(kind, count);
    }
    Ok(reading)
}

//! Do open sockets outlast ten minutes of other people's changes, and the proxy's own upgrade?

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::authority::{Authority, Certificate};
use crate::contender::{Contender, HOST, Job, Kind};
use crate::lab::{Panel, Plot, Reading, Scenario, Turn, Unit};
use crate::load::standing::Standing;
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "outlast",
    question: "1,000 open sockets through what happens at a busy edge within ten minutes, put into 45 seconds: another instance comes and \
               goes, a neighbour is deployed, a certificate is replaced, the proxy is upgraded. How many does each close?",
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx, Kind::Caddy, Kind::Traefik],
    measure,
    rounds: 1,
    plots: &[Plot {
        file: "sockets",
        title: "Open sockets over ten minutes of changes, put into 45 seconds",
        x: "seconds; from 3 on, every 3.5: i instance, n neighbour, c certificate: i n c i n c i n c; upgrade at 34.5; i n",
        panels: &[
            Panel { series: "open sockets", y: "open sockets; those that were closed come back 1.5 s after the change" },
            Panel { series: "memory, MB", y: "memory of all the proxy's processes, MB" },
        ],
    }],
    remarks: &[(
        "memory at the end",
        "after an upgrade two processes stand side by side until the last socket of the replaced one is closed; how much of it is \
             that, and how much the programs' own, was not measured",
    )],
};

const SOCKETS: u32 = 1_000;
const FIRST: f64 = 3.0;
const BETWEEN: f64 = 3.5;
/// After a change, those whose socket it closed open another.
const COME_BACK: f64 = 1.5;
const END: f64 = 45.0;
const LOOK: Duration = Duration::from_millis(100);
/// How long an instance that comes stays.
const STAYS: Duration = Duration::from_millis(500);

/// What happens, none of it to the app's instance that holds the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// A second instance of the app comes, and goes.
    Instance,
    /// Another app's instance is replaced.
    Neighbour,
    /// The app's certificate is replaced.
    Certificate,
    /// The proxy's own program is.
    Upgrade,
}

const EVENTS: [Event; 12] = {
    use Event::{Certificate, Instance, Neighbour, Upgrade};
    [
        Instance,
        Neighbour,
        Certificate,
        Instance,
        Neighbour,
        Certificate,
        Instance,
        Neighbour,
        Certificate,
        Upgrade,
        Instance,
        Neighbour,
    ]
};

fn measure(turn: &Turn) -> io::Result<Reading> {
    let (app, second) = (Sample::start("a")?, Sample::start("b")?);
    let (old, new) = (Sample::start("old")?, Sample::start("new")?);
    let authority = Authority::new()?;
    let mut edge = Edge {
        alone: vec![app.address],
        both: vec![app.address, second.address],
        neighbours: [new.address, old.address],
        certificates: [authority.issue(HOST)?, authority.issue(HOST)?],
        job: Job::secured(app.address, authority.issue(HOST)?),
    };
    edge.job.neighbour = Some(old.address);
    // The sockets are plain, and stay so with a certificate there.
    edge.job.fields.push_str(r#","https":"allow""#);
    let mut contender = Contender::start(turn.kind, &edge.job)?;
    let wanted = turn.scaled(SOCKETS, 50);
    let standing = Standing::open(contender.address, wanted)?;

    let (start, stop) = (Instant::now(), AtomicBool::new(false));
    // A small run is a shorter one too.
    let at = |seconds: f64| start + Duration::from_secs_f64(seconds * turn.scale.max(0.3));
    let mut closed = [0; EVENTS.len()];
    let mut memory = vec![(0.0, megabytes(&contender)?)];
    // From a thread of its own: a change takes its time.
    let sockets = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&standing, start, &stop));
        let mut go = || {
            for (n, event) in EVENTS.into_iter().enumerate() {
                let begins = FIRST + n as f64 * BETWEEN;
                sleep_until(at(begins));
                let before = standing.ends().len();
                edge.happens(event, &mut contender)?;
                sleep_until(at(begins + COME_BACK));
                standing.add(contender.address, HOST, wanted.saturating_sub(standing.count()))?;
                sleep_until(at(begins + BETWEEN));
                closed[n] = standing.ends().len() - before;
                memory.push((start.elapsed().as_secs_f64(), megabytes(&contender)?));
            }
            sleep_until(at(END));
            Ok(())
        };
        let gone: io::Result<()> = go();
        stop.store(true, Relaxed);
        let sockets = watcher.join().map_err(|_| io::Error::other("the watcher panicked"))?;
        gone.map(|()| sockets)
    })?;

    let mut reading = Reading::default();
    for (event, name) in [
        (Event::Instance, "another instance of the app"),
        (Event::Neighbour, "a neighbour's deploy"),
        (Event::Certificate, "a certificate"),
        (Event::Upgrade, "the proxy's own upgrade"),
    ] {
        let each: Vec<usize> =
            EVENTS.into_iter().zip(closed).filter(|(other, _)| *other == event).map(|(_, count)| count).collect();
        let mean = each.iter().sum::<usize>() as f64 / each.len().max(1) as f64;
        reading.put(&format!("closed by {name}"), Unit::Count, mean);
    }
    reading.put("memory at the end", Unit::Megabytes, megabytes(&contender)?);
    reading.put_series("open sockets", sockets);
    reading.put_series("memory, MB", memory);
    Ok(reading)
}

/// The edge's configuration as it stands, and what changes in it by turns.
struct Edge {
    job: Job,
    alone: Vec<SocketAddr>,
    both: Vec<SocketAddr>,
    neighbours: [SocketAddr; 2],
    certificates: [Certificate; 2],
}

impl Edge {
    fn happens(&mut self, event: Event, contender: &mut Contender) -> io::Result<()> {
        match event {
            Event::Instance => {
                self.job.instances.clone_from(&self.both);
                contender.change(&self.job)?;
                thread::sleep(STAYS);
                self.job.instances.clone_from(&self.alone);
            }
            Event::Neighbour => {
                self.job.neighbour = Some(self.neighbours[0]);
                self.neighbours.rotate_left(1);
            }
            Event::Certificate => {
                self.job.certificate = Some(self.certificates[0].clone());
                self.certificates.rotate_left(1);
            }
            Event::Upgrade => return contender.upgrade(),
        }
        contender.change(&self.job)
    }
}

fn watch(standing: &Standing, start: Instant, stop: &AtomicBool) -> Vec<(f64, f64)> {
    let mut seen = Vec::new();
    while !stop.load(Relaxed) {
        seen.push((start.elapsed().as_secs_f64(), f64::from(standing.count())));
        thread::sleep(LOOK);
    }
    seen
}

fn megabytes(contender: &Contender) -> io::Result<f64> {
    Ok(contender.memory()? as f64 / 1e6)
}

fn sleep_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

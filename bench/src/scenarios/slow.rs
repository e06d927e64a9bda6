//! What do clients cost that take their time, and do the others notice?

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::contender::{self, Contender, HOST, Job};
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::pace::{self, Asked};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "slow",
    question: "500 clients that want 1 MiB each and do not read it: what does each hold in the proxy, and do the others notice?",
    contenders: contender::ALL,
    measure,
    rounds: 1,
    plots: &[],
    remarks: &[
        (
            "memory a slow client",
            "'pingora' is the library below with nothing of ours: up to its figure the memory is the library's, beyond it ours",
        ),
        (
            "the others",
            "their request costs what one does in 'http'; before and beside the slow ones is the comparison that counts here",
        ),
    ],
};

const CLIENTS: u32 = 500;
const BODY: usize = 1024 * 1024;
const CONNECTIONS: u32 = 8;
const PER_SECOND: f64 = 500.0;
const SETTLE: Duration = Duration::from_millis(500);

fn measure(turn: &Turn) -> io::Result<Reading> {
    let app = Sample::start("a")?;
    let contender = Contender::start(turn.kind, &Job::of_one(app.address))?;
    let asked = Asked::get(contender.address, "/api/instance");
    let time = Duration::from_millis(u64::from(turn.scaled(2_000, 300)));
    let rate = PER_SECOND * turn.scale.max(0.1);
    let alone = pace::steady(&asked, CONNECTIONS, rate, time);

    let before = contender.memory()?;
    let mut slow = Vec::new();
    for _ in 0..turn.scaled(CLIENTS, 20) {
        slow.push(ask_and_wait(&contender)?);
    }
    thread::sleep(SETTLE);
    let held = contender.memory()?.saturating_sub(before) as f64 / slow.len() as f64;
    let beside = pace::steady(&asked, CONNECTIONS, rate, time);

    let mut reading = Reading::default();
    reading.put("memory a slow client", Unit::Kilobytes, held / 1e3);
    reading.put_latency("the others before,", &alone.latency);
    reading.put_latency("the others beside them,", &beside.latency);
    reading.count_error("the others' requests lost", alone.failed() + beside.failed());
    Ok(reading)
}

/// Reads the first bytes of the answer, and no more.
fn ask_and_wait(contender: &Contender) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(contender.address)?;
    stream.write_all(format!("GET /api/bytes?n={BODY} HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes())?;
    let mut first = [0; 12];
    stream.read_exact(&mut first)?;
    if &first != b"HTTP/1.1 200" {
        return Err(io::Error::other(format!("it answered {:?}", String::from_utf8_lossy(&first))));
    }
    Ok(stream)
}

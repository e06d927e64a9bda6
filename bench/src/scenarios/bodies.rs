//! What does a megabyte cost the proxy, down and up?

use std::io;
use std::time::Instant;

use crate::contender::{self, Contender, HOST, Job};
use crate::http::Connection;
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "bodies",
    question: "Bodies of 16 MiB, one after the other, down and then up: what does a megabyte cost, and how fast does it go?",
    contenders: contender::ALL,
    measure,
    rounds: 2,
    plots: &[],
    remarks: &[
        (
            "CPU a megabyte",
            "'pingora' is the library below with nothing of ours: up to its figure the cost is the library's, beyond it ours",
        ),
        (
            "megabytes",
            "one body at a time, so that its speed is the CPU of app, proxy and client together; larger reads and fewer copies would change it",
        ),
    ],
};

const BODY: usize = 16 * 1024 * 1024;
const BODIES: u32 = 6;

fn measure(turn: &Turn) -> io::Result<Reading> {
    let app = Sample::start("a")?;
    let contender = Contender::start(turn.kind, &Job::of_one(app.address))?;
    let mut client = Connection::new(std::net::TcpStream::connect(contender.address)?);
    let bodies = turn.scaled(BODIES, 2);
    let body = vec![b'x'; BODY];
    let mut reading = Reading::default();
    for (name, method, path, sent) in
        [("down", "GET", format!("/api/bytes?n={BODY}"), &b""[..]), ("up, and back", "POST", "/api/echo".to_owned(), &body)]
    {
        let (start, before) = (Instant::now(), contender.cpu_time()?);
        for _ in 0..bodies {
            let answer = client.ask(method, HOST, &path, sent)?;
            if answer.status != 200 || answer.body.len() != BODY {
                return Err(io::Error::other(format!("{path}: status {}, {} bytes", answer.status, answer.body.len())));
            }
        }
        let megabytes = f64::from(bodies) * BODY as f64 / 1e6;
        let spent = contender.cpu_time()?.saturating_sub(before);
        reading.put(&format!("CPU a megabyte {name}"), Unit::Microseconds, spent.as_secs_f64() * 1e6 / megabytes);
        reading.put(&format!("megabytes {name}"), Unit::PerSecond, megabytes / start.elapsed().as_secs_f64());
    }
    Ok(reading)
}

//! What does an attacker's connection cost the proxy, and what does a bystander notice of a thousand of them?

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{Contender, HOST, Job, Kind};
use crate::lab::{Reading, Scenario, Turn, Unit};
use crate::load::pace::{self, Asked};
use crate::sample::Sample;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "floods",
    question: "1,000 slow connections, or refused ones as fast as one thread makes them: what do they cost, and is a bystander's p99 \
               within twice of what it is at rest?",
    contenders: &[Kind::Karman, Kind::Haproxy, Kind::Nginx],
    measure,
    rounds: 1,
    plots: &[],
    remarks: &[
        (
            "at rest",
            "a request costs more CPU, see 'http'; what counts here is how much later a bystander is answered under attack than now",
        ),
        ("silent connections", SLOWLY),
        ("slow heads", SLOWLY),
        ("slow bodies", SLOWLY),
        ("slow chunks", SLOWLY),
        ("small chunks", CHUNKS),
        ("garbage", REFUSED),
        ("bad heads", REFUSED),
        ("strange hosts", REFUSED),
    ],
};

const SLOWLY: &str = "a bystander's request costs more CPU by itself, see 'http' and the rows at rest; a slow client is looked at after each \
                      of its rests, at least once a second, and a thread is woken for that. Next: what a connection keeps before its head \
                      is whole";
const CHUNKS: &str = "each is whole, and may be one side of a conversation, so its app gets it soon (nginx keeps a body until all of \
                      it is there), and works on it on the same cores. Such requests and all looks at slow clients have a fortieth of a \
                      thread, so that others hardly wait for them. A request without its body touches nine fresh pages, most of them \
                      pingora's (its future, its channels, buffers). Next: fewer fresh pages a request";
const REFUSED: &str = "a bystander's request costs more CPU by itself, see 'http' and the rows at rest; what a refusal costs was not \
                       broken down: it writes a page, and waits until the client has read it. Next: count its system calls";

/// Slow connections at once.
const SLOW: u32 = 1_000;
const MILLISECONDS: u32 = 4_000;
/// So much of that is left when an attack ends: what its end costs is noted with it, not with the next one.
const AFTERMATH: u32 = 8;
const DRIP: Duration = Duration::from_millis(250);
const BYSTANDERS: u32 = 4;
const PER_SECOND: f64 = 200.0;
/// A refused client may be kept this long, until it has read why.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an attacker does.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// Connections that begin so, and then send this byte by byte.
    Slow { name: &'static str, begins: &'static str, drip: &'static [u8] },
    /// One connection after the other, each with these bytes, read to its end.
    Fast { name: &'static str, sends: &'static [u8] },
}

const ATTACKS: [Attack; 8] = [
    Attack::Slow { name: "silent connections", begins: "", drip: b"" },
    Attack::Slow { name: "slow heads", begins: "GET / HTTP/1.1\r\nhost: HOST\r\nx: ", drip: b"y" },
    Attack::Slow {
        name: "slow bodies",
        begins: "POST /api/echo HTTP/1.1\r\nhost: HOST\r\ncontent-length: 100000\r\n\r\n",
        drip: b"y",
    },
    Attack::Slow {
        name: "slow chunks",
        begins: "POST /api/echo HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n186a0\r\n",
        drip: b"y",
    },
    Attack::Slow {
        name: "small chunks",
        begins: "POST /api/echo HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n",
        drip: b"1\r\ny\r\n",
    },
    Attack::Fast { name: "garbage", sends: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" },
    Attack::Fast { name: "bad heads", sends: b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n" },
    Attack::Fast { name: "strange hosts", sends: b"GET / HTTP/1.1\r\nhost: nobody.example\r\nconnection: close\r\n\r\n" },
];

fn measure(turn: &Turn) -> io::Result<Reading> {
    let app = Sample::start("a")?;
    let contender = Contender::start(turn.kind, &Job::of_one(app.address))?;
    let asked = Asked::get(contender.address, "/api/instance");
    let time = Duration::from_millis(u64::from(turn.scaled(MILLISECONDS, 800)));
    let bystanders = || pace::steady(&asked, BYSTANDERS, PER_SECOND, time);
    bystanders();
    let mut reading = Reading::default();
    let (cpu, rest) = (contender.cpu_time()?, bystanders());
    // What the bystanders cost by themselves is not the attacker's.
    let at_rest = contender.cpu_time()?.saturating_sub(cpu);
    reading.put_latency("at rest, a bystander's", &rest.latency);
    for attack in ATTACKS {
        let (cpu, memory) = (contender.cpu_time()?, contender.memory()?);
        let done = Done::default();
        let start = Instant::now();
        let end = start + time - time / AFTERMATH;
        let (noted, (during, lasted)) = thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                let open = attack.run(contender.address, turn.scaled(SLOW, 50), end, &done);
                let during = contender.memory();
                drop(open);
                (during, start.elapsed())
            });
            let noted = bystanders();
            attacker.join().map(|during| (noted, during)).map_err(|_| io::Error::other("an attacker panicked"))
        })?;
        let spent = contender.cpu_time()?.saturating_sub(cpu).saturating_sub(at_rest);
        let (made, sent) = (done.connections.load(Relaxed), done.bytes.load(Relaxed));
        let name = attack.name();
        reading.put_latency(&format!("{name}: a bystander's"), &noted.latency);
        reading.put_cpu(&format!("{name}: CPU a connection"), spent, made);
        let more = during?.saturating_sub(memory) as f64 / 1e3;
        if let Attack::Slow { .. } = attack {
            let seconds = lasted.as_secs_f64() * made as f64;
            reading.put_cpu(&format!("{name}: CPU a second of a connection"), spent, seconds as u64);
            reading.put(&format!("{name}: memory a connection"), Unit::Kilobytes, more / made.max(1) as f64);
        } else {
            reading.put_cpu(&format!("{name}: CPU a second of the attacker"), spent, lasted.as_secs_f64().round() as u64);
            reading.put(&format!("{name}: connections"), Unit::Number, made as f64);
        }
        if sent > 0 {
            reading.put_cpu(&format!("{name}: CPU a byte sent"), spent, sent);
            reading.put(&format!("{name}: memory a byte sent"), Unit::Kilobytes, more / sent as f64);
        }
        for (kind, count) in noted.errors {
            reading.count_error(format!("{name}: {kind}"), count);
        }
    }
    Ok(reading)
}

/// What an attacker did.
#[derive(Debug, Default)]
struct Done {
    connections: AtomicU64,
    bytes: AtomicU64,
}

impl Done {
    fn connection(&self, bytes: usize) {
        self.connections.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

impl Attack {
    fn name(self) -> &'static str {
        match self {
            Self::Slow { name, .. } | Self::Fast { name, .. } => name,
        }
    }

    /// Attacks until this moment. Returns what is still open.
    fn run(self, address: SocketAddr, slow: u32, end: Instant, done: &Done) -> Vec<TcpStream> {
        let mut open = Vec::new();
        match self {
            Self::Slow { begins, drip, .. } => {
                let begins = begins.replace("HOST", HOST);
                for _ in 0..slow {
                    if let Ok(stream) = begin(address, begins.as_bytes()) {
                        done.connection(begins.len());
                        open.push(stream);
                    }
                }
                while Instant::now() < end {
                    thread::sleep(DRIP);
                    for mut stream in &open {
                        done.bytes.fetch_add(stream.write(drip).unwrap_or_default() as u64, Relaxed);
                    }
                }
            }
            Self::Fast { sends, .. } => {
                while Instant::now() < end {
                    let answered = begin(address, sends).and_then(|mut stream| {
                        stream.set_read_timeout(Some(PATIENCE))?;
                        stream.read_to_end(&mut Vec::new())
                    });
                    // Reset after it was answered is as good.
                    drop(answered);
                    done.connection(sends.len());
                }
            }
        }
        open
    }
}

fn begin(address: SocketAddr, bytes: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(bytes)?;
    Ok(stream)
}

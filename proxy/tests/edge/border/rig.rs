//! One edge, one app that notes every byte, and one client that is served all the while.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{Answer, Edge, HOST, SOON, instances_json, parse, until};

/// A row's input, and what has to come of it.
pub struct Case {
    pub row: &'static str,
    pub sends: Vec<u8>,
    pub wants: Wants,
}

#[derive(Debug)]
pub enum Wants {
    /// The app sees nothing; the client gets this status and code.
    Refused(u16, &'static str),
    /// The app sees exactly one request, with all of these in it, and none of those.
    Served(Vec<&'static str>, Vec<&'static str>),
}

/// A request that is refused as bad.
pub fn refused(row: &'static str, sends: impl AsRef<[u8]>) -> Case {
    refused_as(row, sends, 400, "bad-request")
}

pub fn refused_as(row: &'static str, sends: impl AsRef<[u8]>, status: u16, code: &'static str) -> Case {
    Case { row, sends: sends.as_ref().to_vec(), wants: Wants::Refused(status, code) }
}

/// A request that the app gets, exactly once.
pub fn served<const N: usize, const M: usize>(
    row: &'static str,
    sends: impl AsRef<[u8]>,
    with: [&'static str; N],
    without: [&'static str; M],
) -> Case {
    Case { row, sends: sends.as_ref().to_vec(), wants: Wants::Served(with.to_vec(), without.to_vec()) }
}

pub struct Border {
    pub edge: Edge,
    pub app: Noting,
    bystander: TcpStream,
}

impl Border {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    pub async fn start_with(settings: &str) -> Self {
        let (edge, app) = (Edge::start_with(settings).await, Noting::start().await);
        edge.put_app(&instances_json(&[("a", app.address)]), "").await;
        let bystander = TcpStream::connect(edge.http).await.unwrap();
        Self { edge, app, bystander }
    }

    /// Sends every case on a connection of its own, and tells all that went wrong, by row.
    pub async fn check(&mut self, cases: impl IntoIterator<Item = Case>) {
        let mut wrong = Vec::new();
        for case in cases {
            let sent = String::from_utf8_lossy(&case.sends[..case.sends.len().min(120)]).escape_debug().to_string();
            wrong.extend(self.one(case).await.err().map(|why| format!("{why}\n    {sent}")));
        }
        assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    }

    async fn one(&mut self, case: Case) -> Result<(), String> {
        let row = case.row;
        let (lines, messages, refusals) = (self.edge.log().len(), self.app.count(), self.refusals().await);
        let answer = converse(self.edge.http, &case.sends).await.ok_or_else(|| format!("{row}: no answer"))?;
        self.be_served().await;
        until("both have their line in the log", async || self.edge.log().len() >= lines + 2).await;
        let log = self.edge.log();
        let id = answer.header("x-request-id").ok_or_else(|| format!("{row}: an answer without its id"))?;
        let told: Vec<_> = log.iter().skip(lines).filter(|line| line["request_id"] == id).collect();
        equal(row, "lines in the log", (log.len() - lines, told.len()), (2, 1))?;
        let counted = difference(&refusals, &self.refusals().await);
        // The bystander is served by the same app.
        let seen = self.app.since(messages);
        let seen: Vec<_> = seen.iter().filter(|message| !message.contains("/bystander")).collect();
        match case.wants {
            Wants::Refused(status, code) => {
                equal(row, "answer", (answer.status, answer.code()), (status, code))?;
                equal(row, "requests at the app", seen.len(), 0)?;
                equal(row, "code in the log", told[0]["code"].as_str(), Some(code))?;
                equal(row, "refusals counted", counted, vec![(code.to_owned(), 1)])
            }
            Wants::Served(with, without) => {
                equal(row, "status", answer.status, 200)?;
                equal(row, "requests at the app", seen.len(), 1)?;
                equal(row, "refusals counted", counted, Vec::new())?;
                let seen = seen[0].to_ascii_lowercase();
                let lacks = with.iter().find(|part| !seen.contains(*part));
                let has = without.iter().find(|part| seen.contains(*part));
                equal(row, &format!("of what the app should (not) see of {seen:?}"), (lacks, has), (None, None))
            }
        }
    }

    /// Asks on a connection that stays open all the while, for somebody who does nothing wrong.
    pub async fn be_served(&mut self) {
        let request = format!("GET /bystander HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
        self.bystander.write_all(request.as_bytes()).await.unwrap();
        let answer = read_message(&mut self.bystander).await.expect("the bystander has an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "the bystander is served: {answer}");
    }

    pub async fn refusals(&self) -> BTreeMap<String, u64> {
        let metrics = self.edge.probe("/metrics").await.text();
        let mut refusals = BTreeMap::new();
        for line in metrics.lines().filter(|line| line.starts_with("karman_refusals_total{")) {
            let (labels, count) = line.rsplit_once(' ').unwrap();
            let code = labels.split("code=\"").nth(1).unwrap().split('"').next().unwrap();
            *refusals.entry(code.to_owned()).or_default() += count.parse::<f64>().unwrap() as u64;
        }
        refusals
    }
}

fn equal<T: PartialEq + Debug>(row: &str, what: &str, found: T, wanted: T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{row}: {what}: found {found:?}, wanted {wanted:?}")) }
}

pub fn difference(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let grown = |(code, count): (&String, &u64)| {
        let more = count - before.get(code).unwrap_or(&0);
        (more > 0).then(|| (code.clone(), more))
    };
    after.iter().filter_map(grown).collect()
}

/// Sends bytes and reads until the edge closes the connection, which it has to do by itself. Gives the
/// answer that is not an interim one.
pub async fn converse(edge: std::net::SocketAddr, sends: &[u8]) -> Option<Answer> {
    let what = String::from_utf8_lossy(&sends[..sends.len().min(300)]).into_owned();
    let (mut reader, mut writer) = TcpStream::connect(edge).await.unwrap().into_split();
    let sends = sends.to_vec();
    // The edge may have refused before all is sent.
    let sending = tokio::spawn(async move {
        let _ = writer.write_all(&sends).await;
        writer
    });
    let mut received = Vec::new();
    let _ = tokio::time::timeout(SOON, reader.read_to_end(&mut received)).await.unwrap_or_else(|_| {
        panic!("the edge closes the connection; it got {what:?} and said {:?}", String::from_utf8_lossy(&received))
    });
    drop(sending.await);
    let mut last = received.as_slice();
    while last.starts_with(b"HTTP/1.1 10") && !last.starts_with(b"HTTP/1.1 101") {
        let end = last.windows(4).position(|window| window == b"\r\n\r\n")?;
        last = &last[end + 4..];
    }
    parse(last)
}

/// An app that answers every request with 200 and notes it, framing and body included.
pub struct Noting {
    pub address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    accepted: Arc<AtomicUsize>,
}

impl Noting {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&seen);
        let accepted = Arc::new(AtomicUsize::new(0));
        let accepting = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                accepting.fetch_add(1, Relaxed);
                let seen = Arc::clone(&noting);
                tokio::spawn(async move {
                    while let Some(message) = read_message(&mut stream).await {
                        seen.lock().unwrap().push(message);
                        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, seen, accepted }
    }

    /// How many it accepted so far.
    pub fn connections(&self) -> usize {
        self.accepted.load(Relaxed)
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn since(&self, count: usize) -> Vec<String> {
        self.seen.lock().unwrap()[count..].to_vec()
    }
}

/// Reads one message by its own framing; `None` if the connection ends before it is whole.
pub async fn read_message(stream: &mut TcpStream) -> Option<String> {
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n\r\n") {
        message.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&message).to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding: chunked\r\n") {
        let at = message.len();
        while !message[at - 2..].ends_with(b"\r\n0\r\n\r\n") {
            message.push(stream.read_u8().await.ok()?);
        }
    } else if let Some((_, rest)) = head.split_once("\r\ncontent-length: ") {
        let length: usize = rest.split('\r').next()?.parse().ok()?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        message.extend_from_slice(&body);
    }
    Some(String::from_utf8_lossy(&message).into_owned())
}

/// Whether nothing more comes within a short while, and the connection stays open.
pub async fn is_silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(Duration::from_millis(300), stream.read_u8()).await.is_err()
}

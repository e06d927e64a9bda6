//! One edge, one app that notes every byte, and one client that is served all the while.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use karman_faults::{OK, Scripted, read_message};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Answer, Edge, HOST, parse, until};

/// How long an edge may take to close a connection of which it has had enough.
const PATIENCE: Duration = Duration::from_secs(30);
const BYSTANDER: &str = "bystander.example.com";

/// A row's input, and what has to come of it.
pub struct Case {
    pub row: &'static str,
    pub sends: Vec<u8>,
    pub wants: Wants,
}

/// All that anybody can see of a request: its client, the app, the log and the books.
#[derive(Clone, Debug)]
pub struct Wants {
    /// Status and code of the answer; `None`: half an answer, which never looks whole.
    pub answer: Option<(u16, &'static str)>,
    /// The code in the log; empty: none.
    pub code: &'static str,
    /// How many requests the app reads.
    pub at_app: usize,
    /// What the one request has to have in it, and what not.
    pub with: Vec<&'static str>,
    pub without: Vec<&'static str>,
}

impl Wants {
    /// The app sees nothing.
    pub fn refused(status: u16, code: &'static str) -> Self {
        Self { answer: Some((status, code)), code, at_app: 0, with: Vec::new(), without: Vec::new() }
    }

    /// The app sees it, and what it does has this code.
    pub fn failed(status: u16, code: &'static str) -> Self {
        Self { at_app: 1, ..Self::refused(status, code) }
    }

    /// The app answers, and breaks off.
    pub fn cut(code: &'static str) -> Self {
        Self { answer: None, ..Self::failed(200, code) }
    }

    pub fn served(status: u16) -> Self {
        Self { at_app: 1, ..Self::refused(status, "") }
    }
}

/// A request that is refused as bad.
pub fn refused(row: &'static str, sends: impl AsRef<[u8]>) -> Case {
    refused_as(row, sends, 400, "bad-request")
}

pub fn refused_as(row: &'static str, sends: impl AsRef<[u8]>, status: u16, code: &'static str) -> Case {
    Case { row, sends: sends.as_ref().to_vec(), wants: Wants::refused(status, code) }
}

/// A request that the app gets, exactly once.
pub fn served<const N: usize, const M: usize>(
    row: &'static str,
    sends: impl AsRef<[u8]>,
    with: [&'static str; N],
    without: [&'static str; M],
) -> Case {
    let wants = Wants { with: with.to_vec(), without: without.to_vec(), ..Wants::served(200) };
    Case { row, sends: sends.as_ref().to_vec(), wants }
}

/// What a client got until its connection ended.
#[derive(Debug)]
pub struct Got {
    pub bytes: Vec<u8>,
    /// Not by a reset, with which an answer may be lost.
    pub in_order: bool,
}

impl Got {
    /// Reads until the edge closes the connection, which it has to do by itself.
    pub async fn read(mut reader: impl AsyncRead + Unpin) -> Self {
        let mut bytes = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut bytes)).await;
        let in_order = ended.unwrap_or_else(|_| panic!("the edge closes: {}", String::from_utf8_lossy(&bytes))).is_ok();
        Self { bytes, in_order }
    }

    /// The answer that is not an interim one.
    pub fn answer(&self) -> Option<Answer> {
        let mut last = self.bytes.as_slice();
        while last.starts_with(b"HTTP/1.1 10") && !last.starts_with(b"HTTP/1.1 101") {
            let end = last.windows(4).position(|window| window == b"\r\n\r\n")?;
            last = &last[end + 4..];
        }
        let answer = parse(last)?;
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        (answer.body.len() >= length).then_some(answer)
    }

    fn request_id(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        Some(text.split("x-request-id: ").nth(1)?.split('\r').next()?.to_owned())
    }
}

/// An edge with two apps: the one that is looked at, and one whose client does nothing wrong.
pub struct Border {
    pub edge: Edge,
    pub app: Scripted,
    _other: Scripted,
    bystander: TcpStream,
}

impl Border {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    pub async fn start_with(settings: &str) -> Self {
        Self::before(Scripted::answering(OK), settings).await
    }

    pub async fn before(app: Scripted, settings: &str) -> Self {
        Self::by_way_of(app.address, app, settings).await
    }

    /// Before an app that the edge finds at another address than its own.
    pub async fn by_way_of(address: SocketAddr, app: Scripted, settings: &str) -> Self {
        let (edge, other) = (Edge::start_with(settings).await, Scripted::answering(OK));
        let apps = serde_json::json!({
            "todos": {"hosts": [HOST], "instances": {"a": {"address": address.to_string()}}, "timeouts": {"first_byte_seconds": 2}},
            "other": {"hosts": [BYSTANDER], "instances": {"b": {"address": other.address.to_string()}}},
        });
        let put = edge.admin("PUT", "/v1/apps", &serde_json::json!({"generation": 1, "apps": apps}).to_string()).await;
        assert_eq!(put.status, 200, "{}", put.text());
        let bystander = TcpStream::connect(edge.http).await.unwrap();
        Self { edge, app, _other: other, bystander }
    }

    /// Sends every case on a connection of its own, and tells all that went wrong, by row.
    pub async fn check(&mut self, cases: impl IntoIterator<Item = Case>) {
        let mut wrong = Vec::new();
        for Case { row, sends, wants } in cases {
            let sent = String::from_utf8_lossy(&sends[..sends.len().min(120)]).escape_debug().to_string();
            let judged = self.judge(row, wants, async |edge| converse(edge, &sends).await).await;
            wrong.extend(judged.err().map(|why| format!("{why}\n    {sent}")));
        }
        assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    }

    /// Lets a client act, and says what of that which anybody can see is not as it should be.
    pub async fn judge(&mut self, row: &str, wants: Wants, act: impl AsyncFnOnce(SocketAddr) -> Got) -> Result<(), String> {
        let (lines, read) = (self.edge.log().len(), self.app.count());
        let (refused, requests) = (refusals(&self.edge).await, self.requests().await);
        let (edge, bystander) = (self.edge.http, &mut self.bystander);
        let (got, ()) = tokio::join!(act(edge), be_served(bystander));
        until("both have their line in the log", async || self.edge.log().len() >= lines + 2).await;
        let log = self.edge.log();
        let id = got.request_id().ok_or_else(|| format!("{row}: an answer without its id: {got:?}"))?;
        let told: Vec<_> = log.iter().skip(lines).filter(|line| line["request_id"] == id).collect();
        equal(row, "lines in the log", (log.len() - lines, told.len()), (2, 1))?;
        let answer = got.answer();
        equal(row, "answer", answer.as_ref().map(|answer| (answer.status, answer.code())), wants.answer)?;
        let code = (!wants.code.is_empty()).then_some(wants.code);
        equal(row, "code in the log", told[0]["code"].as_str(), code)?;
        // An address that is no app's needs no words.
        let is_the_clients = wants.answer.is_some_and(|(status, _)| (400..500).contains(&status) && status != 404);
        equal(row, "whether the log says why", told[0]["why"].is_string(), is_the_clients && code.is_some())?;
        if let Some((status, _)) = wants.answer {
            equal(row, "end of the connection", got.in_order, true)?;
            equal(row, "status in the log", told[0]["status"].as_u64(), Some(status.into()))?;
        }
        let counted = difference(&refused, &refusals(&self.edge).await);
        equal(row, "refusals counted", counted, code.map(|code| (code.to_owned(), 1)).into_iter().collect())?;
        equal(row, "requests counted, the bystander's too", self.requests().await - requests, 2)?;
        let seen = self.app.since(read);
        equal(row, "requests at the app", seen.len(), wants.at_app)?;
        let seen = seen.concat().to_ascii_lowercase();
        let lacks = wants.with.iter().find(|part| !seen.contains(*part));
        let has = wants.without.iter().find(|part| seen.contains(*part));
        equal(row, &format!("of what the app should (not) see of {seen:?}"), (lacks, has), (None, None))
    }

    /// Asks on a connection that stays open all the while, for somebody who does nothing wrong, until that is in the books.
    /// A request is counted, and then logged, once its answer is out.
    pub async fn be_served(&mut self) {
        let lines = |edge: &Edge| edge.log().iter().filter(|line| line["path"] == "/bystander").count();
        let before = lines(&self.edge);
        be_served(&mut self.bystander).await;
        until("the bystander is in the log", async || lines(&self.edge) > before).await;
    }

    pub async fn requests(&self) -> u64 {
        counts(&self.edge, "karman_requests_total", "class").await.values().sum()
    }
}

/// A counter of the edge, by one of its labels.
pub async fn counts(edge: &Edge, name: &str, label: &str) -> BTreeMap<String, u64> {
    let metrics = edge.probe("/metrics").await.text();
    let mut counts = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with(&format!("{name}{{"))) {
        let (labels, count) = line.rsplit_once(' ').unwrap();
        let value = labels.split(&format!("{label}=\"")).nth(1).unwrap().split('"').next().unwrap();
        *counts.entry(value.to_owned()).or_default() += count.parse::<f64>().unwrap() as u64;
    }
    counts
}

/// What was refused, by its code.
pub async fn refusals(edge: &Edge) -> BTreeMap<String, u64> {
    counts(edge, "karman_refusals_total", "code").await
}

async fn be_served(bystander: &mut TcpStream) {
    let request = format!("GET /bystander HTTP/1.1\r\nhost: {BYSTANDER}\r\n\r\n");
    bystander.write_all(request.as_bytes()).await.unwrap();
    let answer = read_message(bystander).await.expect("the bystander has an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "the bystander is served: {answer}");
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

/// Sends bytes and reads until the edge closes the connection.
pub async fn converse(edge: SocketAddr, sends: &[u8]) -> Got {
    let (reader, mut writer) = TcpStream::connect(edge).await.unwrap().into_split();
    // The edge may have refused before all is sent.
    let sending = async move {
        let _ = writer.write_all(sends).await;
        writer
    };
    let (got, _writer) = tokio::join!(Got::read(reader), sending);
    got
}

/// Whether nothing more comes within a short while, and the connection stays open.
pub async fn is_silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(Duration::from_millis(300), stream.read_u8()).await.is_err()
}

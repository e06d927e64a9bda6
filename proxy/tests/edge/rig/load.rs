//! Steady requests beside whatever a test does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{HOST, exchange, parse};

/// How long a client that keeps its connection pauses between two requests.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients that ask all the time: some on a connection for each request, others on one that they keep
/// until an answer says that it was the last.
pub struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    pub fn start(http: SocketAddr) -> Self {
        let mut load = Self { stop: Arc::default(), served: Arc::default(), failed: Arc::default(), clients: Vec::new() };
        for _ in 0..4 {
            let (stop, served, failed) = (Arc::clone(&load.stop), Arc::clone(&load.served), Arc::clone(&load.failed));
            load.clients.push(tokio::spawn(async move {
                let request = format!("GET /api/instance HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
                while !stop.load(Relaxed) {
                    let answer = match TcpStream::connect(http).await {
                        Ok(stream) => exchange(stream, &request).await,
                        Err(_) => None,
                    };
                    let good = answer.is_some_and(|answer| answer.status == 200);
                    if good { &served } else { &failed }.fetch_add(1, Relaxed);
                }
            }));
        }
        for _ in 0..16 {
            let (stop, served, failed) = (Arc::clone(&load.stop), Arc::clone(&load.served), Arc::clone(&load.failed));
            load.clients.push(tokio::spawn(async move {
                let mut kept = None;
                while !stop.load(Relaxed) {
                    let stream = match kept.take() {
                        Some(stream) => Some(stream),
                        None => TcpStream::connect(http).await.ok(),
                    };
                    let answered = match stream {
                        Some(stream) => ask_and_keep(stream).await,
                        None => None,
                    };
                    if answered.is_some() { &served } else { &failed }.fetch_add(1, Relaxed);
                    kept = answered.flatten();
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
        load
    }

    pub fn served(&self) -> usize {
        self.served.load(Relaxed)
    }

    pub fn failed(&self) -> usize {
        self.failed.load(Relaxed)
    }

    pub async fn stop(self) {
        self.stop.store(true, Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

/// Asks on a connection, and gives it back if it may be kept. `None`: there was no good answer.
async fn ask_and_keep(mut stream: TcpStream) -> Option<Option<TcpStream>> {
    let request = format!("GET /api/instance HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut received = Vec::new();
    loop {
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
        let Some(answer) = parse(&received) else { continue };
        let is_whole = match answer.header("content-length") {
            Some(length) => answer.body.len() == length.parse::<usize>().ok()?,
            // `parse` takes a chunked body only whole.
            None => true,
        };
        if is_whole {
            let is_last = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            return (answer.status == 200).then_some((!is_last).then_some(stream));
        }
    }
}

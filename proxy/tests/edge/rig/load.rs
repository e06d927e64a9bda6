//! Steady requests beside whatever a test does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use tokio::net::TcpStream;

use super::{HOST, exchange};

/// Clients that ask all the time, each request on a connection of its own.
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

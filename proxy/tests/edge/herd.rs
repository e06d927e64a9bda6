//! Three regions at addresses of their own, and a herd of clients that find them through DNS.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::dns_server::DnsServer;
use crate::rig::{App, Edge, HOST, exchange};

/// How often a checker asks, and how many answers in a row change its mind.
const CHECK_EVERY: Duration = Duration::from_millis(100);
const THRESHOLD: usize = 3;

pub struct Region {
    pub edge: Edge,
    address: Ipv4Addr,
}

impl Region {
    /// One edge a region, all at the same port of different addresses.
    pub async fn start_three(app: &App) -> Vec<Self> {
        let mut regions: Vec<Self> = Vec::new();
        for (index, name) in ["us-east-1", "eu-west-1", "ap-southeast-2"].into_iter().enumerate() {
            let address = Ipv4Addr::new(127, 0, 71, 11 + u8::try_from(index).unwrap());
            let port = regions.first().map_or(0, |first| first.edge.http.port());
            let listen = format!("listen: {{http: [\"{address}:{port}\"]}}");
            let edge = Edge::start_in(name, &listen, "").await;
            edge.put_todos(&[("a", app.address)]).await;
            regions.push(Self { edge, address });
        }
        regions
    }

    pub async fn tunnels(regions: &[Self]) -> Vec<u64> {
        let mut tunnels = Vec::new();
        for region in regions {
            tunnels.push(region.edge.admin("GET", "/v1/status", "").await.json()["tunnels"].as_u64().unwrap());
        }
        tunnels
    }

    /// Keeps the region's address in DNS for as long as the region says that it is well.
    pub fn check(regions: Arc<Vec<Self>>, index: usize, dns: Arc<DnsServer>) -> JoinHandle<()> {
        tokio::spawn(async move {
            let region = &regions[index];
            let (mut is_listed, mut differing) = (false, 0);
            loop {
                let request = "GET /healthz/region HTTP/1.1\r\nhost: checker\r\nconnection: close\r\n\r\n";
                let answer = match TcpStream::connect(region.edge.http).await {
                    Ok(stream) => exchange(stream, request).await,
                    Err(_) => None,
                };
                let is_well = answer.is_some_and(|answer| answer.status == 200);
                differing = if is_well == is_listed { 0 } else { differing + 1 };
                if differing == THRESHOLD {
                    let (dns, address) = (Arc::clone(&dns), region.address);
                    tokio::task::spawn_blocking(move || dns.set(HOST, address, is_well)).await.unwrap();
                    (is_listed, differing) = (is_well, 0);
                }
                tokio::time::sleep(CHECK_EVERY).await;
            }
        })
    }
}

/// Clients that hold a socket each, and open another one when it is closed, as Meteor's do.
pub struct Herd {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Herd {
    pub fn start(count: usize, dns: Arc<DnsServer>, port: u16) -> Self {
        let (stop, failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let client = |_| {
            let (stop, failed, dns) = (Arc::clone(&stop), Arc::clone(&failed), Arc::clone(&dns));
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    if stay(&dns, port).await.is_none() {
                        failed.fetch_add(1, Relaxed);
                    }
                }
            })
        };
        let clients = (0..count).map(client).collect();
        Self { stop, failed, clients }
    }

    /// Sockets that were not opened, or did not end with a close frame.
    pub fn failed(&self) -> usize {
        self.failed.load(Relaxed)
    }

    pub async fn stop(self) {
        self.stop.store(true, Relaxed);
        for client in self.clients {
            client.abort();
            let _ = client.await;
        }
    }
}

/// Opens a socket where DNS says, and stays until it is told to leave.
async fn stay(dns: &DnsServer, port: u16) -> Option<()> {
    let addresses = dns.addresses(HOST).await;
    let address = addresses.get(fastrand::usize(..addresses.len().max(1)))?;
    let stream = TcpStream::connect((*address, port)).await.ok()?;
    let request = format!("ws://{HOST}/websocket").into_client_request().ok()?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.ok()?;
    let mut was_told = false;
    while let Some(message) = socket.next().await {
        was_told |= message.ok()?.is_close();
    }
    was_told.then_some(())
}

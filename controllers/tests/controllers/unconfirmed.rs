//! An edge whose publisher is gone: it serves on, says so, and trusts no address that failed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::edge::Edge;
use crate::program::wait_until;

/// Longer than a proxy takes to ask a failed instance whether it is back.
const WATCHED: Duration = Duration::from_millis(1_500);

/// Somebody at an address, who counts connections and requests; gone when it is dropped.
struct Tenant {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Tenant {
    fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests, ends) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let (seen, asked, end) = (Arc::clone(&connections), Arc::clone(&requests), Arc::clone(&ends));
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Relaxed) {
                    return;
                }
                seen.fetch_add(1, Relaxed);
                let asked = Arc::clone(&asked);
                std::thread::spawn(move || answer(stream, &asked));
            }
        });
        Self { address, connections, requests, ends, serving: Some(serving) }
    }

    fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }
}

/// Answers one request and closes, so that no connection is kept.
fn answer(mut stream: TcpStream, asked: &AtomicUsize) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.extend_from_slice(&byte),
            // A connection on which nothing is asked, as a watch makes it.
            _ => return,
        }
    }
    asked.fetch_add(1, Relaxed);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
        // Wakes the listener up.
        drop(TcpStream::connect(self.address));
        let _ = self.serving.take().map(JoinHandle::join);
    }
}

fn is_unconfirmed(edge: &Edge) -> bool {
    edge.try_get("/v1/status").unwrap_or_default()["documents"]["apps"]["unconfirmed"] == true
}

#[test]
fn an_address_that_refused_while_nobody_publishes_gets_no_request_until_somebody_does() {
    let customer = Tenant::at(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = customer.address;
    let app = format!("hosts: [a.test]\ninstances:\n  a-1: {{address: \"{address}\"}}\n");
    let mut edge = Edge::with(&[("apps/a.yaml", &app)]);
    edge.limit("unconfirmed_seconds", 1);
    edge.start_proxy();
    edge.start_publisher();
    edge.wait_until_live();
    edge.kill_publisher();
    wait_until("the apps are unconfirmed", || is_unconfirmed(&edge));
    assert_eq!(edge.page("a.test").status, 200, "they are served on");
    assert!(edge.karman(&["status"]).stdout.contains("UNCONFIRMED"), "{:?}", edge.karman(&["status"]));

    drop(customer);
    assert_eq!(edge.page("a.test").status, 503);
    let stranger = Tenant::at(address);
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        assert_eq!(edge.page("a.test").status, 503);
        std::thread::sleep(Duration::from_millis(50));
    }
    let seen = stranger.connections.load(Relaxed);
    assert_eq!((seen, stranger.requests()), (0, 0), "whoever is there now is not even asked");

    edge.start_publisher();
    wait_until("the address is used again", || edge.page("a.test").status == 200);
    assert!(stranger.requests() > 0 && !is_unconfirmed(&edge));
}

//! pingora-proxy with nothing of Karman around it: what the library costs by itself.
//!
//! It breaks some WebSockets off right after their 101: where the app's answer is read before the end of the request's body, which
//! is empty, the library takes that end for the tunnel's (cloudflare/pingora#946, open). Nothing out here comes between the two.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use pingora_core::prelude::{HttpPeer, Opt, Server};
use pingora_core::server::configuration::ServerConf;
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[derive(Debug, Parser)]
#[command(name = "karman-bare-pingora", version = "pingora-proxy 0.9")]
struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long, value_delimiter = ',', required = true)]
    instances: Vec<SocketAddr>,
    /// A fault for the lab's own tests to find
    #[arg(long, env = "KARMAN_BENCH_PLANT", value_enum)]
    plant: Option<Plant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Plant {
    /// Every request waits for 250 ms.
    Sleep,
    /// Every request fills 24 MiB of fresh memory.
    Allocation,
    /// No connection to an instance is used twice.
    LostKeepAlive,
}

struct Bare {
    instances: Vec<SocketAddr>,
    next: AtomicUsize,
    plant: Option<Plant>,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora_core::Result<Box<HttpPeer>> {
        match self.plant {
            Some(Plant::Sleep) => tokio::time::sleep(Duration::from_millis(250)).await,
            Some(Plant::Allocation) => drop(std::hint::black_box(vec![1_u8; 24 << 20])),
            Some(Plant::LostKeepAlive) | None => {}
        }
        let n = self.next.fetch_add(1, Relaxed) % self.instances.len();
        let mut peer = HttpPeer::new(self.instances[n], false, String::new());
        peer.options.idle_timeout = Some(Duration::from_secs(4));
        peer.options.connection_timeout = Some(Duration::from_secs(3));
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> pingora_core::Result<()> {
        if let Some(client) = session.client_addr().and_then(|client| client.as_inet()) {
            request.insert_header("x-forwarded-for", client.ip().to_string())?;
        }
        if self.plant == Some(Plant::LostKeepAlive) {
            request.insert_header("connection", "close")?;
        }
        request.insert_header("x-forwarded-proto", "http")
    }
}

fn main() {
    let arguments = Arguments::parse();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let conf = ServerConf {
        threads,
        upstream_keepalive_pool_size: 1024,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, conf);
    let bare = Bare { instances: arguments.instances, next: AtomicUsize::new(0), plant: arguments.plant };
    let mut service = http_proxy_service(&server.configuration, bare);
    service.add_tcp(&arguments.listen.to_string());
    server.add_service(service);
    server.run_forever();
}

//! TLS to clients: from the first byte to a connection of which is known by what name it came.
//!
//! The ClientHello is read before anything is decided, so that a name nobody has costs no signature
//! and a storm of one tenant waits its turn before it costs one.

mod crowds;
mod outcome;
mod tickets;

use std::fmt::{self, Debug};
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use karman_contract::event::EventKind;
use karman_contract::name::Host;
use rustls::crypto::aws_lc_rs;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use self::crowds::Crowds;
pub use self::outcome::{Outcome, Outcomes};
pub use self::tickets::TicketKeys;
use self::tickets::Tickets;
use crate::certificates::{Certificate, Certificates};
use crate::clock;
use crate::edge::Edge;
use crate::events::About;
use crate::live::Live;
use crate::network;
use crate::overload::{SILENCE_MAX, full_after};
use crate::rates::{Booking, Rate, Rates};
use crate::settings::Limits;
use crate::socket::Tcp;
use crate::table::Apps;

const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";
/// The protocol of a tls-alpn-01 challenge (RFC 8737 section 6.2).
const ACME: &[u8] = b"acme-tls/1";

/// A record with the fatal alert `unrecognized_name` (RFC 6066 section 3, RFC 8446 section 6).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What rustls may hold of a connection in each direction while the other end is slow, in bytes.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// How a secured connection came to be.
pub struct Secured {
    /// As the access log has it.
    pub version: &'static str,
    pub http2: bool,
    /// What the client was shown: no other host may be asked for here.
    pub certificate: Arc<Certificate>,
}

impl Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS {} with {:?}", self.version, self.certificate)
    }
}

/// What all handshakes share.
#[derive(Debug)]
pub struct Tls {
    /// Everything but the certificate.
    config: ServerConfig,
    slots: Semaphore,
    crowds: Crowds,
    /// `None`: as many as come.
    network_rate: Option<Rate>,
    name_rate: Option<Rate>,
    networks: Rates,
    names: Rates,
    /// Apps whose hosts were asked for without having a certificate, as far as an event told of them.
    missing: Rates,
    pub outcomes: Outcomes,
}

/// Handshakes that come after a calm are let in at once, up to the share of this time.
const BURST: Duration = Duration::from_millis(250);
/// How often an event tells that hosts of an app have no certificate.
const MISSING_TOLD: Rate = Rate { every: Duration::from_secs(3_600), burst: Duration::ZERO };
/// Networks, names, and apps without a certificate that are known at once, of those that come often: 0.4 MB each.
const KEYS_RATED: usize = 16_384;

/// An open door: which certificate, and for what.
enum Answer {
    Serve(Arc<Certificate>, Arc<CertifiedKey>),
    Prove(Arc<CertifiedKey>),
    /// Somebody asks for a proof, and no CA does.
    NothingToProve,
}

impl Tls {
    /// Installs nothing: the provider is named here, and there is no other in the process.
    pub fn new(limits: &Limits, keys: Arc<Live<TicketKeys>>) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Nobody));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(Tickets::new(keys));
        let rate = |count: usize| Rate::per_second(u32::try_from(count).unwrap_or(u32::MAX), BURST);
        Ok(Self {
            config,
            slots: Semaphore::new(limits.handshakes),
            crowds: Crowds::new(limits.handshakes),
            network_rate: rate(limits.handshakes_per_second_network),
            name_rate: rate(limits.handshakes_per_second_name),
            networks: Rates::new(KEYS_RATED),
            names: Rates::new(KEYS_RATED),
            missing: Rates::new(KEYS_RATED),
            outcomes: Outcomes::default(),
        })
    }

    /// Shakes hands, or counts why not. `None`: the client has its alert, or is gone.
    pub async fn accept(
        &self,
        edge: &Edge,
        socket: Tcp,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Option<(TlsStream<Tcp>, Secured)> {
        let deadline = Instant::now() + edge.settings.limits.handshake;
        match self.shake_hands(edge, socket, peer, local, deadline).await {
            Ok((stream, secured)) => {
                let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                self.outcomes.count(if resumed { Outcome::Resumed } else { Outcome::Full });
                Some((stream, secured))
            }
            Err(outcome) => {
                self.outcomes.count(outcome);
                None
            }
        }
    }

    async fn shake_hands(
        &self,
        edge: &Edge,
        socket: Tcp,
        peer: SocketAddr,
        local: SocketAddr,
        deadline: Instant,
    ) -> Result<(TlsStream<Tcp>, Secured), Outcome> {
        let network = network::neighbours(peer.ip());
        keep_to_rate(&self.networks, self.network_rate, network, deadline).await?;
        let hello = LazyConfigAcceptor::new(Acceptor::default(), socket);
        let hello = tokio::select! {
            hello = timeout_at(deadline, hello) => hello.map_err(|_| Outcome::TimedOut)?.map_err(|_| Outcome::Failed)?,
            () = full_after(&edge.level, SILENCE_MAX) => return Err(Outcome::TimedOut),
        };
        let name = asked_for(&hello.client_hello(), local);
        keep_to_rate(&self.names, self.name_rate, &name, deadline).await?;
        let permit = self.crowds.enter(network, deadline).await.ok_or(Outcome::OverLimit)?;
        let slot = timeout_at(deadline, self.slots.acquire()).await.map_err(|_| Outcome::OverLimit)?;
        // After the wait: from the answer to a change on, only what the change brought is shown.
        let answer = answer(&edge.certificates.pin(), &name, &hello.client_hello());
        let (stream, certificate) = match answer {
            Some(Answer::Serve(certificate, pair)) => (self.finish(hello, pair, &[HTTP_2, HTTP_1], deadline).await?, certificate),
            Some(Answer::Prove(pair)) => {
                let mut stream = self.finish(hello, pair, &[ACME], deadline).await?;
                let _ = timeout_at(deadline, stream.shutdown()).await;
                return Err(Outcome::Challenge);
            }
            Some(Answer::NothingToProve) => {
                decline(hello, deadline).await;
                return Err(Outcome::UnknownName);
            }
            None => {
                decline(hello, deadline).await;
                return Err(self.missing(edge, &edge.apps.pin(), &name));
            }
        };
        drop((slot, permit));
        let session = stream.get_ref().1;
        let version = if session.protocol_version() == Some(ProtocolVersion::TLSv1_2) { "1.2" } else { "1.3" };
        let http2 = session.alpn_protocol() == Some(HTTP_2);
        Ok((stream, Secured { version, http2, certificate }))
    }

    async fn finish(
        &self,
        hello: StartHandshake<Tcp>,
        pair: Arc<CertifiedKey>,
        protocols: &[&[u8]],
        deadline: Instant,
    ) -> Result<TlsStream<Tcp>, Outcome> {
        let mut config = self.config.clone();
        config.cert_resolver = Arc::new(This(pair));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let done = hello.into_stream_with(Arc::new(config), |session| session.set_buffer_limit(Some(BUFFER_BYTES_MAX)));
        timeout_at(deadline, done).await.map_err(|_| Outcome::TimedOut)?.map_err(|_| Outcome::Failed)
    }

    /// Whether there should be a certificate of this name; that is told once in a while for each app, whatever names are asked for.
    fn missing(&self, edge: &Edge, apps: &Apps, name: &str) -> Outcome {
        let Some(app) = apps.find(name) else { return Outcome::UnknownName };
        if let Booking::After(_) = self.missing.book(&app.id, MISSING_TOLD, clock::now(), Duration::ZERO) {
            let host = name.parse::<Host>().ok();
            edge.events.tell(EventKind::CertificateMissing, About { app: Some(app.id.clone()), host, ..About::default() });
        }
        Outcome::CertificateMissing
    }
}

/// Waits for the turn of a network or a name. One whose rate is not known does not wait.
async fn keep_to_rate(rates: &Rates, rate: Option<Rate>, key: impl Hash, deadline: Instant) -> Result<(), Outcome> {
    let Some(rate) = rate else { return Ok(()) };
    match rates.book(key, rate, clock::now(), deadline.saturating_duration_since(Instant::now())) {
        Booking::After(Duration::ZERO) | Booking::NoRoom => Ok(()),
        Booking::After(wait) => {
            sleep(wait).await;
            Ok(())
        }
        Booking::TooLate => Err(Outcome::OverLimit),
    }
}

/// Says that there is nobody of this name.
async fn decline(mut hello: StartHandshake<Tcp>, deadline: Instant) {
    let _ = timeout_at(deadline, hello.io.write_all(&UNRECOGNIZED_NAME)).await;
    let _ = timeout_at(deadline, hello.io.shutdown()).await;
}

impl Outcomes {
    fn count(&self, outcome: Outcome) {
        self.of(outcome).fetch_add(1, Relaxed);
    }
}

/// The name that the client asks for: without one, the address that it connected to is one.
fn asked_for(hello: &ClientHello<'_>, local: SocketAddr) -> String {
    match hello.server_name() {
        Some(name) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
        None => local.ip().to_canonical().to_string(),
    }
}

fn answer(table: &Certificates, name: &str, hello: &ClientHello<'_>) -> Option<Answer> {
    if hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ACME)) {
        return Some(table.challenge(name).map_or(Answer::NothingToProve, Answer::Prove));
    }
    let certificate = table.find(name, hello.signature_schemes())?;
    Some(Answer::Serve(Arc::clone(certificate), Arc::clone(certificate.ready()?)))
}

/// The certificate that was chosen for a handshake.
#[derive(Debug)]
struct This(Arc<CertifiedKey>);

impl ResolvesServerCert for This {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Stands in the configuration until a certificate is chosen.
#[derive(Debug)]
struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

//! A relay before the CA that sees every request, and at any of them can stop the world or take the CA away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::https::{HttpsServer, Identity, install_provider};
use super::pebble::Pebble;

/// What the relay counted, and where it is to stop.
#[derive(Default)]
pub(super) struct Log {
    pub(super) requests: Vec<String>,
    /// Orders that the CA made, by the first name.
    pub(super) orders: BTreeMap<String, usize>,
    /// Requests for a certificate that the CA took.
    pub(super) finalized: usize,
    cut: Option<Cut>,
    pub(super) is_cut: bool,
}

/// After so many requests nothing comes back any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) after: usize,
    /// Whether the CA still gets the last one.
    pub(super) is_delivered: bool,
    pub(super) then: Then,
}

/// What a client sees after the cut.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    /// Connections hang: whoever waits for an answer is killed meanwhile.
    Silence,
    /// Connections end without an answer, as those of a CA that is restarted.
    Death,
}

impl Log {
    fn count(&mut self, path: &str, body: &Bytes, status: StatusCode) {
        if path.starts_with("/order-plz") && status == StatusCode::CREATED {
            *self.orders.entry(first_name(body).unwrap_or_default()).or_default() += 1;
        }
        self.finalized += usize::from(path.starts_with("/finalize-order") && status.is_success());
    }
}

pub(super) struct Relay {
    pub(super) log: Arc<Mutex<Log>>,
    server: HttpsServer,
}

impl Relay {
    pub(super) fn start(address: SocketAddr, ca: SocketAddr, identity: &Identity) -> Self {
        install_provider();
        let log = Arc::new(Mutex::new(Log::default()));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(identity.root.as_bytes()).unwrap()).unwrap();
        let tls = TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));
        let server = HttpsServer::start(address, identity, {
            let log = Arc::clone(&log);
            move |request| relay(request, ca, tls.clone(), Arc::clone(&log))
        });
        Self { log, server }
    }

    /// Of a controller whose CA is a pebble behind this, and that may order as much as a test wants.
    pub(super) fn settings(&self) -> Value {
        json!({
            "cas": [{"name": "pebble", "directory": format!("https://{}/dir", self.server.address), "root": "ca-root.pem",
                     "limits": {"orders_per_3_hours": 10_000, "per_domain_per_week": 10_000, "same_names_per_week": 100}}],
            "resolvers": [Pebble::resolver()],
            "propagation_seconds": 0,
        })
    }

    /// From now on counts anew, and cuts there.
    pub(super) fn cut(&self, cut: Option<Cut>) {
        *self.log.lock().unwrap() = Log { cut, ..Log::default() };
    }

    pub(super) fn is_cut(&self) -> bool {
        self.log.lock().unwrap().is_cut
    }

    /// Lets everything through again, and goes on counting.
    pub(super) fn mend(&self) {
        let mut log = self.log.lock().unwrap();
        (log.cut, log.is_cut) = (None, false);
    }
}

async fn relay(request: Request<Bytes>, ca: SocketAddr, tls: TlsConnector, log: Arc<Mutex<Log>>) -> Option<Response<Bytes>> {
    let (path, body) = (request.uri().path().to_owned(), request.body().clone());
    let (cut, is_delivered) = {
        let mut log = log.lock().unwrap();
        log.requests.push(format!("{} {path}", request.method()));
        let cut = log.cut.filter(|cut| log.requests.len() >= cut.after);
        (cut, cut.is_none_or(|cut| cut.is_delivered && log.requests.len() == cut.after))
    };
    let answer = if is_delivered { Some(forward(request, ca, tls).await?) } else { None };
    {
        let mut log = log.lock().unwrap();
        if let Some(answer) = &answer {
            log.count(&path, &body, answer.status());
        }
        log.is_cut |= cut.is_some();
    }
    match cut.map(|cut| cut.then) {
        None => answer,
        Some(Then::Death) => None,
        Some(Then::Silence) => std::future::pending().await,
    }
}

async fn forward(request: Request<Bytes>, ca: SocketAddr, tls: TlsConnector) -> Option<Response<Bytes>> {
    let stream = TcpStream::connect(ca).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let stream = tls.connect(ServerName::from(ca.ip()), stream).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    // The Host stays: from it the CA makes the addresses that it gives out.
    let answer = sender.send_request(request.map(Full::new)).await.ok()?;
    let (parts, body) = answer.into_parts();
    Some(Response::from_parts(parts, body.collect().await.ok()?.to_bytes()))
}

/// The first name of a new order, from within its signature.
fn first_name(body: &Bytes) -> Option<String> {
    let signed: Value = serde_json::from_slice(body).ok()?;
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed["payload"].as_str()?).ok()?).ok()?;
    Some(payload["identifiers"][0]["value"].as_str()?.to_owned())
}

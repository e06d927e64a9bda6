//! An HTTPS server of the tests: one handler, one certificate of a CA that the program under test is told to trust.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use karman_faults::Scripted;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// A root, and a leaf of it.
pub(super) struct Identity {
    pub(super) root: String,
    pub(super) chain: String,
    pub(super) key: String,
}

impl Identity {
    pub(super) fn for_address(address: SocketAddr) -> Self {
        Self::for_names(&[&address.ip().to_string()])
    }

    pub(super) fn for_names(names: &[&str]) -> Self {
        let named = |name: &str, names: Vec<String>| {
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut root = named("Root of the tests", Vec::new());
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf =
            named("A server of the tests", names.iter().map(ToString::to_string).collect()).signed_by(&key, &root).unwrap();
        Self { root: root.pem(), chain: leaf.pem(), key: key.serialize_pem() }
    }
}

/// A server that runs on a thread of its own until it is dropped.
pub(super) struct HttpsServer {
    pub(super) address: SocketAddr,
    _world: Scripted,
}

impl HttpsServer {
    pub(super) fn start<H, F>(address: SocketAddr, identity: &Identity, handler: H) -> Self
    where
        H: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Option<Response<Bytes>>> + Send + 'static,
    {
        use rustls::pki_types::pem::PemObject as _;
        install_provider();
        let chain = rustls::pki_types::CertificateDer::pem_slice_iter(identity.chain.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let world = Scripted::start_at(address, move |_, stream, _| {
            let (acceptor, handler) = (acceptor.clone(), handler.clone());
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: Request<Incoming>| answer(request, handler.clone()));
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
        Self { address: world.address, _world: world }
    }
}

/// No answer closes the connection, as a server does that dies.
async fn answer<H, F>(request: Request<Incoming>, handler: H) -> Result<Response<Full<Bytes>>, std::io::Error>
where
    H: Fn(Request<Bytes>) -> F,
    F: Future<Output = Option<Response<Bytes>>>,
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let answer = handler(Request::from_parts(parts, body)).await;
    answer.map(|answer| answer.map(Full::new)).ok_or_else(|| std::io::Error::other("the test wants no answer"))
}

pub(super) fn install_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Writes the root to a file that settings can name.
pub(super) fn root_file(identity: &Identity, dir: &std::path::Path) -> PathBuf {
    let path = dir.join("ca-root.pem");
    std::fs::write(&path, &identity.root).unwrap();
    path
}

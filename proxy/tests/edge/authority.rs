//! A test CA, and clients that trust it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use sha2::Digest;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Issues certificates. Its own goes into what trusts it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "a test CA");
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// A certificate for these names with its key, as the document has them.
    pub fn issue(&self, names: &[&str]) -> Value {
        self.issue_with(names, &KeyPair::generate().unwrap(), |_| {})
    }

    pub fn issue_with(&self, names: &[&str], key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Value {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, fastrand::u64(..).to_string());
        change(&mut params);
        let chain = params.signed_by(key, &self.issuer).unwrap().pem();
        json!({"names": names, "chain": chain, "key": key.serialize_pem()})
    }

    /// A certificate as [`issue`](Self::issue), and the SHA-256 of its public key, in base64.
    pub fn issue_pinned(&self, names: &[&str]) -> (Value, String) {
        let key = KeyPair::generate().unwrap();
        let pin = sha2::Sha256::digest(key.subject_public_key_info());
        (self.issue_with(names, &key, |_| {}), BASE64_STANDARD.encode(pin))
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Writes its certificate for a program to trust.
    pub fn save(&self, dir: &Path) -> String {
        let file = dir.join("ca.pem");
        std::fs::write(&file, self.pem()).unwrap();
        file.display().to_string()
    }

    /// A client that speaks these protocols. Its clones share the sessions that they may resume.
    pub fn client(&self, protocols: &[&str]) -> Client {
        self.configured(protocols, rustls::ALL_VERSIONS)
    }

    /// A client of HTTP/1.1 over this version of TLS.
    pub fn client_of(&self, version: &'static SupportedProtocolVersion) -> Client {
        self.configured(&["http/1.1"], &[version])
    }

    fn configured(&self, protocols: &[&str], versions: &[&'static SupportedProtocolVersion]) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Client(config)
    }
}

/// A TLS client.
#[derive(Clone)]
pub struct Client(pub ClientConfig);

/// A secured connection.
pub type Secured = TlsStream<TcpStream>;

impl Client {
    /// Shakes hands, and checks that the certificate is for `name`.
    pub async fn connect(&self, https: SocketAddr, name: &str) -> std::io::Result<Secured> {
        self.connect_over(TcpStream::connect(https).await?, name).await
    }

    /// The same over a connection that is there.
    pub async fn connect_over(&self, stream: TcpStream, name: &str) -> std::io::Result<Secured> {
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(self.0.clone())).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
    }

    /// What it begins a handshake with.
    pub fn hello(&self, name: &str) -> Vec<u8> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut hello = Vec::new();
        rustls::ClientConnection::new(Arc::new(self.0.clone()), name).unwrap().write_tls(&mut hello).unwrap();
        hello
    }

    /// The alert that a handshake is refused with.
    pub async fn refused(&self, https: SocketAddr, name: &str) -> AlertDescription {
        let e = self.connect(https, name).await.expect_err("the handshake is refused");
        match e.get_ref().and_then(|e| e.downcast_ref()) {
            Some(rustls::Error::AlertReceived(alert)) => *alert,
            _ => panic!("{name}: {e:?}"),
        }
    }
}

/// The leaf that was shown, as PEM's body has it.
pub fn shown(stream: &Secured) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// The leaf of a certificate as the document has it.
pub fn leaf(item: &Value) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(item["chain"].as_str().unwrap().as_bytes()).unwrap()
}

//! A CA of the lab's own, which certifies as many names as a scenario asks for.

use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A chain of two and its key (ECDSA on P-256, like every key here).
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) leaf: CertificateDer<'static>,
    chain: String,
    key: String,
}

impl Authority {
    pub(crate) fn new() -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "the lab's CA");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)? })
    }

    /// Certifies one name, with a key of its own.
    pub(crate) fn issue(&self, name: &str) -> io::Result<Certificate> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = CertificateParams::new([name.to_owned()]).map_err(io::Error::other)?;
        let signed = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let chain = signed.pem() + &self.issuer.pem();
        Ok(Certificate { leaf: signed.der().clone(), chain, key: key.serialize_pem() })
    }

    /// Clients that never resume a session.
    pub(crate) fn stranger(&self) -> io::Result<ClientConfig> {
        let mut config = self.friend()?;
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Clients of HTTP/1.1 that trust it, over TLS 1.3 with X25519, which is what all contenders speak; they
    /// resume where they can.
    pub(crate) fn friend(&self) -> io::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).map_err(io::Error::other)?;
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl Certificate {
    /// As nginx and HAProxy read it.
    pub(crate) fn chain_and_key(&self) -> String {
        format!("{}{}", self.chain, self.key)
    }

    /// As a member of the document's object.
    pub(crate) fn item(&self, id: &str, name: &str) -> String {
        let (chain, key) =
            (self.chain.replace("\r\n", "\n").replace('\n', "\\n"), self.key.replace("\r\n", "\n").replace('\n', "\\n"));
        format!(r#""{id}":{{"names":["{name}"],"chain":"{chain}","key":"{key}"}}"#)
    }
}

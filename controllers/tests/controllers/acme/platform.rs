//! A store with apps that want certificates, a controller, and an edge that answers a CA's http-01 challenges.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use karman_faults::Scripted;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::program::{KARMAN, Program, Ran, karman, wait_until};

pub(super) struct Platform {
    pub(super) controller: Option<Program>,
    dns: Option<Program>,
    dir: TempDir,
}

impl Platform {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("data/apps")).unwrap();
        Self { controller: None, dns: None, dir }
    }

    /// A DNS server that knows an address for every name.
    pub(super) fn resolver(&mut self, address: SocketAddr) -> SocketAddr {
        let (dns, admin) = (address.to_string(), SocketAddr::new(address.ip(), 8055).to_string());
        let off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
        let arguments = ["-dns01", &dns, "-management", &admin].into_iter().chain(off);
        self.dns = Some(Program::start("dns", Path::new("/usr/bin/pebble-challtestsrv"), self.dir.path(), arguments));
        wait_until("the DNS server listens", || std::net::TcpStream::connect(address).is_ok());
        address
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name)
    }

    /// Writes `platform.yaml`; JSON is YAML.
    pub(super) fn settings(&self, certificates: &Value) {
        let text = json!({"domain": "apps.example.net", "certificates": certificates}).to_string();
        fs::write(self.data("platform.yaml"), text).unwrap();
    }

    pub(super) fn app(&self, id: &str, hosts: &[&str]) {
        fs::write(self.data(&format!("apps/{id}.yaml")), json!({"hosts": hosts}).to_string()).unwrap();
    }

    /// An app that runs.
    pub(super) fn app_at(&self, id: &str, host: &str, address: SocketAddr) {
        let app = json!({"hosts": [host], "instances": {format!("{id}-1"): {"address": address, "release": 1}}});
        fs::write(self.data(&format!("apps/{id}.yaml")), app.to_string()).unwrap();
    }

    pub(super) fn start(&mut self) {
        self.controller = Some(self.start_one("certificates"));
    }

    /// One more controller; what it says goes to the file `NAME.said`.
    pub(super) fn start_one(&self, name: &str) -> Program {
        Program::start(name, Path::new(KARMAN), self.dir.path(), ["certificates", "--store", "data"])
    }

    pub(super) fn kill(&mut self) {
        self.controller = None;
    }

    pub(super) fn said(&self) -> String {
        self.controller.as_ref().map(Program::said).unwrap_or_default()
    }

    pub(super) fn verb(&self, arguments: &[&str]) -> Ran {
        let arguments: Vec<_> = ["certificates"].iter().chain(arguments).chain(&["--store", "data"]).copied().collect();
        karman(self.dir.path(), &arguments)
    }

    /// An entry of the store, if there is one that can be read.
    pub(super) fn entry(&self, name: &str) -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(self.data(&format!("{name}.json"))).ok()?).ok()
    }

    /// Waits for a certificate and for the end of its order; gives the leaf.
    pub(super) fn certified(&self, id: &str) -> CertificateDer<'static> {
        let mut found = None;
        wait_until(&format!("{id} has a certificate; {}", self.said()), || {
            found = self.entry(&format!("certificates/{id}"));
            found.is_some() && self.entry(&format!("orders/{id}")).is_none()
        });
        leaf(&found.unwrap())
    }

    pub(super) fn serial(&self, id: &str) -> Option<String> {
        let der = leaf(&self.entry(&format!("certificates/{id}"))?);
        let (_, leaf) = x509_parser::parse_x509_certificate(&der).ok()?;
        Some(leaf.raw_serial_as_string())
    }
}

fn leaf(entry: &Value) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(entry["chain"].as_str().unwrap().as_bytes()).unwrap()
}

/// The DNS names of a certificate.
pub(super) fn names_of(der: &CertificateDer<'_>) -> Vec<String> {
    let (_, leaf) = x509_parser::parse_x509_certificate(der).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    names.value.general_names.iter().map(ToString::to_string).collect()
}

/// Answers http-01 as an edge does: any token, with the thumbprint of the account in the store.
pub(super) struct Answerer(#[expect(dead_code, reason = "it answers as long as it is held")] Scripted);

impl Answerer {
    pub(super) fn start(address: SocketAddr, keys: PathBuf) -> Self {
        Self(Scripted::start_at(address, move |_, mut stream, seen| {
            let keys = keys.clone();
            async move {
                if !seen.read(&mut stream).await {
                    return;
                }
                let head = seen.last();
                let token = head.split(' ').nth(1).and_then(|path| path.strip_prefix("/.well-known/acme-challenge/"));
                let body = token.zip(thumbprint(&keys)).map_or_else(String::new, |(token, print)| format!("{token}.{print}"));
                let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }))
    }
}

fn thumbprint(keys: &Path) -> Option<String> {
    let files = fs::read_dir(keys).ok()?.flatten();
    let file = files
        .map(|file| file.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("acme-")))?;
    let entry: BTreeMap<String, Value> = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    Some(entry.get("thumbprints")?[0].as_str()?.to_owned())
}

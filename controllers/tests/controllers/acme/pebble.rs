//! Debian's pebble, a real ACME CA for tests, with the DNS server that it asks.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::https::{Identity, root_file};
use crate::curl::fetch;
use crate::program::{Program, wait_until};

/// The ports of one test, on an address that no other test has.
pub(super) const ACME: u16 = 14000;
pub(super) const RELAY: u16 = 14001;
pub(super) const HTTP: u16 = 5002;
pub(super) const TLS: u16 = 5001;
const DNS: u16 = 8053;
const DNS_ADMIN: u16 = 8055;
const MANAGEMENT: u16 = 15000;
/// The account that pebble knows where it wants a binding to one, and the key of it.
pub(super) const EAB: (&str, &str) = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

/// pebble says which ports it wants and does not say which it got: so each test process has an
/// address of the loopback network to itself, made of its own id.
pub(super) fn own_address(port: u16) -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 64 + high % 64, middle, low)), port)
}

pub(super) struct Pebble {
    process: Option<Program>,
    dns: Program,
    env: Vec<(&'static str, String)>,
    dir: PathBuf,
}

impl Pebble {
    /// Starts both. So many of 100 good nonces are refused, as pebble does to teach its clients.
    pub(super) fn start(dir: &Path, identity: &Identity, nonces_refused: u8) -> Self {
        Self::start_for(dir, identity, nonces_refused, false)
    }

    /// A CA that opens accounts only for those who have one with it by other means.
    pub(super) fn start_for_members(dir: &Path, identity: &Identity) -> Self {
        Self::start_for(dir, identity, 0, true)
    }

    fn start_for(dir: &Path, identity: &Identity, nonces_refused: u8, members_only: bool) -> Self {
        root_file(identity, dir);
        fs::write(dir.join("pebble.pem"), &identity.chain).unwrap();
        fs::write(dir.join("pebble.key"), &identity.key).unwrap();
        let config = json!({"pebble": {
            "listenAddress": own_address(ACME), "managementListenAddress": own_address(MANAGEMENT),
            "certificate": "pebble.pem", "privateKey": "pebble.key",
            "httpPort": HTTP, "tlsPort": TLS, "ocspResponderURL": "", "externalAccountBindingRequired": members_only,
            "externalAccountMACKeys": {EAB.0: EAB.1},
        }});
        fs::write(dir.join("pebble.json"), config.to_string()).unwrap();
        let (dns, admin) = (own_address(DNS).to_string(), own_address(DNS_ADMIN).to_string());
        let here = own_address(0).ip().to_string();
        let arguments = [
            "-dns01",
            &dns,
            "-management",
            &admin,
            "-defaultIPv4",
            &here,
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
        ];
        let dns = Program::start("challtestsrv", Path::new("/usr/bin/pebble-challtestsrv"), dir, arguments);
        let env = vec![
            ("PEBBLE_VA_NOSLEEP", "1".to_owned()),
            ("PEBBLE_WFE_NONCEREJECT", nonces_refused.to_string()),
            ("PEBBLE_AUTHZREUSE", "0".to_owned()),
        ];
        let mut pebble = Self { process: None, dns, env, dir: dir.to_owned() };
        pebble.start_again(dir);
        wait_until("the DNS server answers", || TcpStream::connect(own_address(DNS_ADMIN)).is_ok());
        pebble
    }

    /// Starts the CA, which has forgotten everything.
    pub(super) fn start_again(&mut self, dir: &Path) {
        self.process = None;
        let dns = own_address(DNS).to_string();
        let env: Vec<_> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let arguments = env.iter().map(String::as_str).chain(["/usr/bin/pebble", "-config", "pebble.json", "-dnsserver", &dns]);
        self.process = Some(Program::start("pebble", Path::new("/usr/bin/env"), dir, arguments));
        wait_until("the CA listens", || TcpStream::connect(own_address(ACME)).is_ok());
    }

    pub(super) fn stop(&mut self) {
        self.process = None;
    }

    /// What the CA said since it was started.
    pub(super) fn said(&self) -> String {
        self.process.as_ref().map(Program::said).unwrap_or_default()
    }

    /// A file with the root of what it issues, which is another than that of its own HTTPS.
    pub(super) fn root(&self) -> PathBuf {
        let url = format!("https://{}/roots/0", own_address(MANAGEMENT));
        let fetched = fetch(&url, own_address(0).ip(), Some(&self.dir.join("ca-root.pem")), &[]);
        assert!(fetched.body.starts_with("-----BEGIN CERTIFICATE-----"), "{fetched:?}");
        let path = self.dir.join("issued-root.pem");
        fs::write(&path, fetched.body).unwrap();
        path
    }

    pub(super) fn directory() -> String {
        format!("https://{}/dir", own_address(ACME))
    }

    pub(super) fn resolver() -> SocketAddr {
        own_address(DNS)
    }

    /// Tells the DNS server what to answer, such as `add-a`, `add-caa`, `set-txt`.
    pub(super) fn dns(&self, call: &str, body: &Value) {
        let _ = &self.dns;
        let body = body.to_string();
        let mut stream = TcpStream::connect(own_address(DNS_ADMIN)).unwrap();
        let length = body.len();
        write!(stream, "POST /{call} HTTP/1.1\r\nHost: dns\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{call}: {answer}");
    }

    /// A program that writes TXT records there, for `certificates.dns.hook`.
    pub(super) fn hook(dir: &Path) -> Value {
        let script = format!(
            "case $1 in\n\
             present) call=set-txt; body=\"{{\\\"host\\\":\\\"$2.\\\",\\\"value\\\":\\\"$3\\\"}}\" ;;\n\
             remove) call=clear-txt; body=\"{{\\\"host\\\":\\\"$2.\\\"}}\" ;;\n\
             wait) exit 0 ;;\n\
             esac\n\
             echo \"$1 $2\" >> hook.log\n\
             curl --silent --show-error --fail --data \"$body\" http://{}/$call\n",
            own_address(DNS_ADMIN)
        );
        fs::write(dir.join("hook.sh"), script).unwrap();
        json!(["sh", "hook.sh"])
    }
}

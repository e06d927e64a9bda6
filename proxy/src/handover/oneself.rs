//! Whether this very process answers at its listeners, asked as a client would.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::settings::ProxyProtocol;

/// How long a process may take to answer a request of its own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Enough for the head of an answer.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;
/// That nobody can have: no app is asked, and no certificate covers it.
const NOBODY: &str = "upgrade.invalid";

/// Types of TLS records (RFC 8446 section 5.1): whether there is a certificate or not, one of these is the answer to a hello.
const TLS_ALERT: u8 = 21;
const TLS_HANDSHAKE: u8 = 22;

/// Asks this very process for something, through one of its listeners: over HTTP a request, whose id tells that the
/// answer is its own; over HTTPS how it answers a hello.
///
/// Where the listener hears only load balancers, and this machine is none, that it shows the door is answer enough.
pub async fn ask_oneself(address: &str, is_https: bool, balancers: Option<&ProxyProtocol>) -> io::Result<()> {
    let mut address: SocketAddr = address.parse().map_err(io::Error::other)?;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let is_stranger = balancers.is_some_and(|balancers| !balancers.believes(address));
    let introduction = if balancers.is_some() && !is_stranger { "PROXY UNKNOWN\r\n" } else { "" };
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        if is_stranger {
            return stream.read_to_end(&mut Vec::new()).await.map(drop);
        }
        stream.write_all(introduction.as_bytes()).await?;
        if is_https { greet(stream).await } else { request(stream).await }
    };
    timeout(ANSWER_TIMEOUT, asked).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn request(mut stream: TcpStream) -> io::Result<()> {
    let id = format!("upgrade-{}", std::process::id());
    let request = format!("GET / HTTP/1.1\r\nhost: {NOBODY}\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.lines().any(|line| line.eq_ignore_ascii_case(&format!("x-request-id: {id}"))) {
        true => Ok(()),
        false => {
            Err(io::Error::other(format!("found {:?}, wanted an answer of its own", answer.lines().next().unwrap_or_default())))
        }
    }
}

/// Says hello and waits for a record of TLS. What it says does not matter: nobody shakes hands here.
async fn greet(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(&hello().map_err(io::Error::other)?).await?;
    let mut record = [0; 2];
    stream.read_exact(&mut record).await?;
    match record {
        // After the type the version, whose first byte is 3 for ever.
        [TLS_ALERT | TLS_HANDSHAKE, 3] => Ok(()),
        found => Err(io::Error::other(format!("found {found:?}, wanted a record of TLS"))),
    }
}

/// A hello in TLS, as bytes.
fn hello() -> Result<Vec<u8>, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(NOBODY).map_err(|e| rustls::Error::General(e.to_string()))?;
    let mut hello = Vec::new();
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    client.write_tls(&mut hello).map_err(|e| rustls::Error::General(e.to_string()))?;
    Ok(hello)
}

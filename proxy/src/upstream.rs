//! A fresh HTTP/1.1 connection to an instance, outside of pingora's pool: for upgrades and health checks.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_http::RequestHeader;
use tokio::net::TcpStream;

use crate::connection::Connection;

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    Refused,
    TimedOut,
}

/// Connects within `timeout`.
pub async fn connect(address: SocketAddr, timeout: Duration) -> Result<HttpSession, ConnectFailure> {
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(socket)) => Ok(HttpSession::new(stream(socket, address))),
        Ok(Err(e)) if e.kind() == io::ErrorKind::TimedOut => Err(ConnectFailure::TimedOut),
        // No route, no port left, refused: nothing was sent in any case.
        Ok(Err(_)) => Err(ConnectFailure::Refused),
        Err(_) => Err(ConnectFailure::TimedOut),
    }
}

fn stream(socket: TcpStream, address: SocketAddr) -> Stream {
    let local = socket.local_addr().unwrap_or(address);
    Box::new(Connection::new(socket, address, local))
}

/// Asks for a path and gives the status of the answer, whatever it is, if it is HTTP.
pub async fn ask(address: SocketAddr, host: &str, path: &str) -> Result<u16, Box<pingora_error::Error>> {
    let socket = TcpStream::connect(address)
        .await
        .map_err(|e| pingora_error::Error::because(pingora_error::ErrorType::ConnectError, "health check", e))?;
    let mut session = HttpSession::new(stream(socket, address));
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(4))?;
    request.insert_header("host", host)?;
    request.insert_header("user-agent", concat!("karman-health/", env!("CARGO_PKG_VERSION")))?;
    request.insert_header("connection", "close")?;
    session.write_request_header(Box::new(request)).await?;
    loop {
        session.read_response().await?;
        match session.get_status() {
            Some(status) if !status.is_informational() => return Ok(status.as_u16()),
            _ => {}
        }
    }
}

/// Whether a connection ended in a reset, and not in an orderly way.
pub fn is_reset(e: &pingora_error::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    let cause = e.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|e| matches!(e.kind(), ConnectionReset | ConnectionAborted | BrokenPipe))
}

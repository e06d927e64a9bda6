//! Clients within TLS.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;

use super::socket;
use crate::contender::HOST;
use crate::http::Connection;

/// How long a peer may say nothing before the connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection after its handshake.
pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// A WebSocket within TLS.
pub(crate) type Socket = WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

/// Shakes hands, and checks that the certificate is for `name`.
pub(crate) fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> io::Result<Secured> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut session = ClientConnection::new(Arc::clone(config), server(name)?).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

/// Shakes hands and asks once, `count` times, each on a connection of its own. How many handshakes were full?
pub(crate) fn visit(address: SocketAddr, path: &str, config: &Arc<ClientConfig>, count: u32) -> io::Result<u32> {
    let mut full = 0;
    for _ in 0..count {
        let secured = connect(address, HOST, config)?;
        full += u32::from(secured.conn.handshake_kind() != Some(HandshakeKind::Resumed));
        let answer = Connection::new(secured).ask("GET", HOST, path, b"")?;
        if answer.status != 200 {
            return Err(io::Error::other(format!("{path}: status {}", answer.status)));
        }
    }
    Ok(full)
}

/// Opens WebSockets of the lab's app, one after the other.
pub(crate) async fn open_many(address: SocketAddr, config: &Arc<ClientConfig>, count: u32) -> io::Result<Vec<Socket>> {
    let connector = TlsConnector::from(Arc::clone(config));
    let mut sockets = Vec::new();
    for _ in 0..count {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = connector.connect(server(HOST)?, stream).await?;
        sockets.push(socket::upgrade(stream, HOST, "/websocket", None).await?.0);
    }
    Ok(sockets)
}

fn server(name: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).map_err(io::Error::other)
}

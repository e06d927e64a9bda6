//! WebSockets by the thousand.

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::Latency;
use crate::contender::HOST;

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// The library's 128 KiB a socket would be most of what the lab's machine holds.
const READ_BUFFER: usize = 4 * 1024;

/// How long an upgrade may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// A proxy that breaks a socket off as soon as it is open has done so after this time.
const SETTLE: Duration = Duration::from_millis(500);

/// How often sockets that were broken off are opened anew.
const TRIES: u32 = 10;

/// Opens one, at the lab's host.
pub(crate) async fn open(address: SocketAddr, path: &str) -> io::Result<Socket> {
    open_at(address, HOST, path, None).await.map(|(socket, _)| socket)
}

/// Opens one with a cookie, and gives back the cookie that the answer set.
pub(crate) async fn open_at(
    address: SocketAddr,
    host: &str,
    path: &str,
    cookie: Option<&str>,
) -> io::Result<(Socket, Option<String>)> {
    let opening = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        upgrade(stream, host, path, cookie).await
    };
    tokio::time::timeout(OPEN_TIMEOUT, opening).await?
}

/// Makes a WebSocket of a stream, which may be one within TLS.
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
    path: &str,
    cookie: Option<&str>,
) -> io::Result<(WebSocketStream<S>, Option<String>)> {
    let mut request = format!("ws://{host}{path}").into_client_request().map_err(io::Error::other)?;
    if let Some(cookie) = cookie {
        request.headers_mut().insert(COOKIE, HeaderValue::from_str(cookie).map_err(io::Error::other)?);
    }
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    let (socket, answer) = opened.map_err(io::Error::other)?;
    let set = answer.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok());
    Ok((socket, set.and_then(|set| set.split(';').next()).map(str::to_owned)))
}

/// Opens `count`, one after the other.
pub(crate) async fn open_many(address: SocketAddr, count: u32) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(open(address, "/websocket").await?);
    }
    Ok(sockets)
}

/// Opens `count`, and anew those that the proxy broke off as soon as they were open; how many of these were there?
pub(crate) async fn open_standing(address: SocketAddr, count: u32) -> io::Result<(Vec<Socket>, u32)> {
    let (mut standing, mut broken, mut tries) = (Vec::new(), 0, 0);
    while standing.len() < count as usize {
        if tries == TRIES {
            return Err(io::Error::other(format!("{broken} sockets were broken off as soon as they were open")));
        }
        tries += 1;
        let missing = count.saturating_sub(standing.len() as u32);
        standing.extend(open_many(address, missing).await?);
        tokio::time::sleep(SETTLE).await;
        standing.retain(is_open);
        broken += count.saturating_sub(standing.len() as u32);
    }
    Ok((standing, broken))
}

/// Whether the other side has not ended it. Nothing is taken out: what it said is there for whoever asks next.
fn is_open(socket: &Socket) -> bool {
    let mut byte = [0_u8; 1];
    match recv(socket.get_ref(), &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((read, _)) => read > 0,
        Err(e) => e == Errno::AGAIN,
    }
}

/// Says `connect` as DDP does; the app's heartbeat begins with it.
pub(crate) async fn connect(socket: &mut Socket) -> io::Result<()> {
    socket.send(Message::text(r#"{"msg":"connect","version":"1","support":["1"]}"#)).await.map_err(io::Error::other)
}

/// Says `ping` as DDP does, 128 bytes of it, and waits for the `pong`; again and again.
pub(crate) async fn chat(mut socket: Socket, trips: u32) -> io::Result<Latency> {
    connect(&mut socket).await?;
    let ping = format!(r#"{{"msg":"ping","id":"{}"}}"#, "x".repeat(128 - 23));
    let mut latency = Latency::new();
    for _ in 0..trips {
        let start = Instant::now();
        socket.send(Message::text(ping.as_str())).await.map_err(io::Error::other)?;
        loop {
            let Some(message) = socket.next().await else { return Err(io::Error::other("the socket was closed")) };
            if message.map_err(io::Error::other)?.to_text().is_ok_and(|text| text.contains("pong")) {
                break;
            }
        }
        latency.record(start.elapsed());
    }
    Ok(latency)
}

//! What carries a client's frames: a WebSocket, or else polling.

use std::io;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{COOKIE, HOST, SET_COOKIE};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::Terms;
use super::timing::{CONNECT_TIMEOUT, INFO_TIMEOUT, transport_timeout};
use crate::load::socket::{self, Socket};

/// A session that is open: SockJS said `o`.
pub(super) enum Transport {
    Socket(Box<Socket>),
    Polling(Polling),
}

/// A session over plain requests: one connection to hear on, one to say on.
pub(super) struct Polling {
    hears: Http,
    says: Http,
    url: String,
}

/// Navigates to the page, from which everything else begins.
pub(super) async fn load_page(terms: &Terms, path: &str, cookie: &mut Option<String>) -> io::Result<()> {
    let (status, _) = Http::connect(terms).await?.ask(Method::GET, path, "", cookie).await?;
    if status == StatusCode::OK { Ok(()) } else { Err(io::Error::other(format!("status {}", status.as_u16()))) }
}

/// One attempt to open a session, as SockJS makes it.
pub(super) async fn open(terms: &Terms, cookie: &mut Option<String>) -> Result<Transport, String> {
    let attempt = attempt(terms, cookie);
    tokio::time::timeout(CONNECT_TIMEOUT, attempt).await.unwrap_or_else(|_| Err("no socket within 10 s".to_owned()))
}

async fn attempt(terms: &Terms, cookie: &mut Option<String>) -> Result<Transport, String> {
    let start = Instant::now();
    let info = async {
        let mut http = Http::connect(terms).await?;
        http.ask(Method::GET, &format!("{}/info?cb={}", terms.prefix, word(10)), "", cookie).await
    };
    let answer = tokio::time::timeout(INFO_TIMEOUT, info).await;
    let (status, _) = answer.map_err(|_| "no info within 8 s".to_owned())?.map_err(|e| format!("info: {:?}", e.kind()))?;
    if status != StatusCode::OK {
        return Err(format!("info: status {}", status.as_u16()));
    }
    let patience = transport_timeout(start.elapsed());

    let url = format!("{}/{:03}/{}", terms.prefix, fastrand::u32(..1_000), word(8));
    if let Ok(Ok(socket)) = tokio::time::timeout(patience, web_socket(terms, &url, cookie)).await {
        return Ok(Transport::Socket(Box::new(socket)));
    }
    // Refused or too late: polling, for the life of this connection. Each transport gets a session of its own.
    let url = format!("{}/{:03}/{}", terms.prefix, fastrand::u32(..1_000), word(8));
    match tokio::time::timeout(patience, Polling::open(terms, url, cookie)).await {
        Ok(Ok(polling)) => Ok(Transport::Polling(polling)),
        Ok(Err(e)) => Err(format!("all transports failed: {:?}", e.kind())),
        Err(_) => Err("all transports failed: too late".to_owned()),
    }
}

async fn web_socket(terms: &Terms, url: &str, cookie: &mut Option<String>) -> io::Result<Socket> {
    let (mut socket, set) = socket::open_at(terms.address, &terms.host, &format!("{url}/websocket"), cookie.as_deref()).await?;
    if set.is_some() {
        *cookie = set;
    }
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.as_str() == "o" => return Ok(socket),
            Some(Ok(_)) => {}
            Some(Err(e)) => return Err(io::Error::other(e)),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Transport {
    pub(super) fn is_polling(&self) -> bool {
        matches!(self, Self::Polling(_))
    }

    /// The next messages; `None` at the end.
    pub(super) async fn hear(&mut self, cookie: &mut Option<String>) -> Option<Vec<String>> {
        let frame = match self {
            Self::Socket(socket) => loop {
                match socket.next().await? {
                    Ok(Message::Text(text)) => break text.as_str().to_owned(),
                    Ok(_) => {}
                    Err(_) => return None,
                }
            },
            Self::Polling(polling) => polling.hear(cookie).await.ok()?,
        };
        match frame.as_bytes().first() {
            Some(b'a') => serde_json::from_str(&frame[1..]).ok(),
            Some(b'h') => Some(Vec::new()),
            _ => None,
        }
    }

    pub(super) async fn say(&mut self, messages: &[&str], cookie: &mut Option<String>) -> io::Result<()> {
        match self {
            Self::Socket(socket) => {
                for message in messages {
                    let frame = serde_json::to_string(&[message])?;
                    socket.feed(Message::text(frame)).await.map_err(io::Error::other)?;
                }
                socket.flush().await.map_err(io::Error::other)
            }
            Self::Polling(polling) => polling.say(&serde_json::to_string(messages)?, cookie).await,
        }
    }
}

impl Polling {
    async fn open(terms: &Terms, url: String, cookie: &mut Option<String>) -> io::Result<Self> {
        let mut polling = Self { hears: Http::connect(terms).await?, says: Http::connect(terms).await?, url };
        match polling.hear(cookie).await?.as_str() {
            "o" => Ok(polling),
            other => Err(io::Error::other(format!("wanted an open frame, found {other}"))),
        }
    }

    async fn hear(&mut self, cookie: &mut Option<String>) -> io::Result<String> {
        let url = format!("{}/xhr", self.url);
        let (status, body) = self.hears.ask(Method::POST, &url, "", cookie).await?;
        if status == StatusCode::OK { Ok(body.trim_end().to_owned()) } else { Err(io::Error::other(status.to_string())) }
    }

    async fn say(&mut self, body: &str, cookie: &mut Option<String>) -> io::Result<()> {
        let url = format!("{}/xhr_send", self.url);
        let (status, _) = self.says.ask(Method::POST, &url, body, cookie).await?;
        if status.is_success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
    }
}

/// One kept connection of a browser.
struct Http {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Http {
    async fn connect(terms: &Terms) -> io::Result<Self> {
        let stream = TcpStream::connect(terms.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // It ends when the sender does, or the server.
        tokio::spawn(connection);
        Ok(Self { sender, host: terms.host.clone() })
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: &str,
        cookie: &mut Option<String>,
    ) -> io::Result<(StatusCode, String)> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie.as_str());
        }
        let request = request.body(Full::from(body.to_owned())).map_err(io::Error::other)?;
        let answer = self.sender.send_request(request).await.map_err(io::Error::other)?;
        if let Some(set) = answer.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok()) {
            *cookie = set.split(';').next().map(str::to_owned);
        }
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// Random letters, as SockJS names sessions.
fn word(letters: usize) -> String {
    (0..letters).map(|_| fastrand::lowercase()).collect()
}

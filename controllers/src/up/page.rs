//! Asking for a page as a browser would, to see that the edge serves.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(20);

/// What came for a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    /// The code of an answer that the edge made itself.
    pub error: Option<String>,
}

/// Asks until an app answers; what came last, if none does in time.
pub async fn first_page(address: SocketAddr, host: &str, within: Duration) -> Result<Page, String> {
    let deadline = Instant::now() + within;
    loop {
        let last = match ask(address, host).await {
            Ok(page) if page.error.is_none() => return Ok(page),
            Ok(Page { status, error }) => format!("{status} {}", error.unwrap_or_default()),
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            return Err(last);
        }
        sleep(AGAIN).await;
    }
}

pub async fn ask(address: SocketAddr, host: &str) -> io::Result<Page> {
    let asked = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let request = Request::get("/").header(HOST, host).header("accept", "text/html").body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let error = answer.headers().get("x-karman-error").map(|code| String::from_utf8_lossy(code.as_bytes()).into_owned());
        Ok(Page { status: answer.status().as_u16(), error })
    };
    timeout(ANSWER_WITHIN, asked).await.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")))
}

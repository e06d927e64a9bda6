//! A message of HTTP/1.1 off a connection, by its own framing.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads up to the end of a head; `None` if the connection ends before.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(head)
}

/// Reads one message; `None` if the connection ends before it is whole.
pub async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut message = read_head(stream).await?;
    let head = String::from_utf8_lossy(&message).to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding: chunked\r\n") {
        let at = message.len();
        while !message[at - 2..].ends_with(b"\r\n0\r\n\r\n") {
            message.push(stream.read_u8().await.ok()?);
        }
    } else if let Some((_, rest)) = head.split_once("\r\ncontent-length: ") {
        let length: usize = rest.split('\r').next()?.parse().ok()?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        message.extend_from_slice(&body);
    }
    Some(String::from_utf8_lossy(&message).into_owned())
}

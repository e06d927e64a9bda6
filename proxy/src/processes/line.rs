//! One order and its answer, over a Unix socket of the edge.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::wire::{Answer, Order};

/// A report of 100,000 instances fits.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Sends an order, with what follows it, and reads the answer.
pub(super) async fn call<A: DeserializeOwned>(path: &Path, order: &Order, more: &[u8], patience: Duration) -> io::Result<A> {
    let talk = async {
        let mut stream = UnixStream::connect(path).await?;
        write(&mut stream, order).await?;
        stream.write_all(more).await?;
        read(&mut BufReader::new(stream)).await
    };
    match timeout(patience, talk).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
        Answer::Good(answer) => Ok(answer),
        Answer::Refused(why) => Err(io::Error::other(why)),
    }
}

pub(super) async fn write(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

pub(super) async fn read<T: DeserializeOwned>(stream: &mut BufReader<UnixStream>) -> io::Result<T> {
    let mut line = Vec::new();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

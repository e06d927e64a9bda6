//! HTTP/2 by hand: frames and fields that no library would send (RFC 9113 section 4, RFC 7541 section 6.2.2).

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::authority::{Authority, Secured};
use crate::rig::{Edge, HOST, SOON};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What came, as far as tests look at it.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code with which a stream or the connection ends.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// Of an answer whose status stands in the static table (RFC 7541 appendix A), or another one.
    pub fn status(&self) -> u16 {
        match self.payload[0] {
            0x88 => 200,
            0x8c => 400,
            0x8d => 404,
            _ => 0,
        }
    }
}

/// A connection after its preface.
pub struct Raw {
    stream: Secured,
}

impl Raw {
    pub async fn open(edge: &Edge, authority: &Authority) -> Self {
        Self::open_with(edge, authority, &[]).await
    }

    /// With these settings, each of six bytes.
    pub async fn open_with(edge: &Edge, authority: &Authority, settings: &[u8]) -> Self {
        let mut stream = authority.client(&["h2"]).connect(edge.https, HOST).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut raw = Self { stream };
        assert!(raw.send(SETTINGS, 0, 0, settings).await);
        raw
    }

    /// Whether it could be sent: the edge may have closed.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.write(&frame(kind, flags, stream, payload)).await
    }

    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        let writing = async { self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok() };
        tokio::time::timeout(SOON, writing).await.unwrap_or(false)
    }

    /// The next one; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        tokio::time::timeout(SOON, self.read()).await.expect("a frame, or the end")
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind: head[3], stream: u32::from_be_bytes(head[5..9].try_into().unwrap()), payload })
    }

    /// The next one that says something of a request: an answer, or the end of a stream or of the connection.
    pub async fn outcome(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if [HEADERS, RST_STREAM, GOAWAY].contains(&frame.kind) {
                return Some(frame);
            }
        }
    }

    /// Reads on to the end of the connection; the code of its GOAWAY, if there was one.
    pub async fn goes_away(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Fields as they are, none of them kept: without Huffman's code and without the tables.
pub fn fields<T: AsRef<[u8]>>(fields: &[(T, T)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(name.as_ref(), &mut block);
        text(value.as_ref(), &mut block);
    }
    block
}

/// A length of seven bits, or more in bytes that follow (RFC 7541 section 5.1), and the text.
pub fn text(text: &[u8], block: &mut Vec<u8>) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(rest as u8);
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}

/// A good request's fields, and more of them.
pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![(":method", method), (":scheme", "https"), (":authority", HOST), (":path", path)];
    all.extend_from_slice(more);
    fields(&all)
}

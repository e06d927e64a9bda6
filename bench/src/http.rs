//! A client for one connection that is kept: requests go out whole, answers come in whole.

use std::io::{self, BufRead, BufReader, Read, Write};

/// The longest head of an answer, in bytes.
const HEAD_MAX: u64 = 64 * 1024;

/// The longest body of an answer, in bytes: what the sample app sends at most, and the pages of a table.
const BODY_MAX: usize = 256 * 1024 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    stream: BufReader<S>,
    /// The server said that it closes.
    over: bool,
}

/// An answer's status, the edge's code where it has one, a cookie that it set, and its body.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) cookie: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// How the end of a body is known.
enum Length {
    Known(usize),
    Chunked,
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream), over: false }
    }

    /// Whether the next request needs another connection.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn ask(&mut self, method: &str, host: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let length =
            if body.is_empty() && method == "GET" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{length}\r\n").into_bytes();
        // One write, so that a small request is one packet.
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        self.read()
    }

    fn read(&mut self) -> io::Result<Answer> {
        let mut answer = Answer::default();
        let mut length = Length::Known(0);
        let mut line = String::new();
        let mut head = Read::take(&mut self.stream, HEAD_MAX);
        loop {
            line.clear();
            if head.read_line(&mut line)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within an answer"));
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            match text.split_once(": ") {
                None => answer.status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = Length::Known(value.parse().map_err(io::Error::other)?);
                }
                Some((name, value)) if name.eq_ignore_ascii_case("transfer-encoding") && value.contains("chunked") => {
                    length = Length::Chunked;
                }
                Some((name, value)) if name.eq_ignore_ascii_case("connection") => self.over = value.eq_ignore_ascii_case("close"),
                Some((name, value)) if name.eq_ignore_ascii_case("x-karman-error") => value.clone_into(&mut answer.code),
                Some((name, value)) if name.eq_ignore_ascii_case("set-cookie") => {
                    answer.cookie = value.split(';').next().map(str::to_owned);
                }
                Some(_) => {}
            }
        }
        match length {
            Length::Known(length) => self.read_exactly(length, &mut answer.body)?,
            Length::Chunked => self.read_chunks(&mut answer.body)?,
        }
        Ok(answer)
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let mut line = String::new();
            Read::take(&mut self.stream, HEAD_MAX).read_line(&mut line)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size > 0 {
                self.read_exactly(size, body)?;
            }
            // The end of the line after a chunk, or after the last one; the lab's apps send no trailers.
            Read::take(&mut self.stream, 2).read_until(b'\n', &mut Vec::new())?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn read_exactly(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let before = body.len();
        if before.saturating_add(length) > BODY_MAX {
            return Err(io::Error::other(format!("a body of more than {BODY_MAX} bytes")));
        }
        body.resize(before + length, 0);
        self.stream.read_exact(&mut body[before..])
    }
}

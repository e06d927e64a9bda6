//! A client for one connection that is kept: requests go out whole, answers come in whole.

use std::io::{self, BufRead, BufReader, Read, Write};

/// A connection to a server that answers with `Content-Length`.
pub(crate) struct Connection<S> {
    stream: BufReader<S>,
}

/// An answer's status, the edge's code where it has one, and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) body: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn ask(&mut self, method: &str, host: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n", body.len());
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        self.read()
    }

    fn read(&mut self) -> io::Result<Answer> {
        let mut answer = Answer { status: 0, code: String::new(), body: Vec::new() };
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within an answer"));
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            match text.split_once(": ") {
                None => answer.status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
                Some((name, value)) if name.eq_ignore_ascii_case("x-karman-error") => value.clone_into(&mut answer.code),
                Some(_) => {}
            }
        }
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }
}

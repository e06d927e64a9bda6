//! An admin socket of the test's own, in place of a proxy's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use crate::program::PATIENCE;

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) what: String,
    pub(crate) body: Value,
}

/// Answers each call by `answer`, and tells the test of it.
pub(crate) fn listen(socket: &Path, mut answer: impl FnMut(&Call) -> (u16, Value) + Send + 'static) -> mpsc::Receiver<Call> {
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    let (tell, calls) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some(call) = read(&stream) else { continue };
            let (status, body) = match call.what.as_str() {
                "GET /v1/events" => (404, json!({"error": "not-found", "what": "events"})),
                _ => answer(&call),
            };
            let body = body.to_string();
            let length = body.len();
            let _ = write!(&stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = tell.send(call);
        }
    });
    calls
}

fn read(stream: &UnixStream) -> Option<Call> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some((_, value)) = line.to_ascii_lowercase().split_once("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let what = first.rsplit_once(' ')?.0.to_owned();
    Some(Call { what, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

pub(crate) fn status(documents: Value) -> (u16, Value) {
    (
        200,
        json!({"version": "0.1.0", "contract": 1, "edge": {"name": "lone", "region": "here"}, "started_at": "2026-11-23T08:00:00Z",
            "draining": false, "connections": 0, "tunnels": 0, "bound": {"http": [], "https": []}, "documents": documents, "processes": []}),
    )
}

pub(crate) fn applied(body: &Value) -> (u16, Value) {
    (200, json!({"outcome": "applied", "epoch": body["epoch"], "generation": body["generation"], "saved": true}))
}

/// The next call that changes something.
pub(crate) fn next_change(calls: &mpsc::Receiver<Call>) -> Call {
    loop {
        let call = calls.recv_timeout(PATIENCE).expect("the publisher calls");
        if call.what.starts_with("PUT") || call.what.starts_with("PATCH") {
            return call;
        }
    }
}

//! A relay before the service that counts requests, and at one of them falls silent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Default)]
struct State {
    requests: Vec<String>,
    cut: Option<Cut>,
    is_cut: bool,
    /// Connections that wait for an answer that never comes.
    silent: Vec<TcpStream>,
}

/// After so many requests nothing comes back any more.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub(super) after: usize,
    /// Whether the service still gets the last one.
    pub(super) is_delivered: bool,
}

pub(super) struct Relay {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Relay {
    pub(super) fn start(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&relay.state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || pass_on(stream, service, &state));
            }
        });
        relay
    }

    /// From now on counts anew, and cuts there.
    pub(super) fn cut(&self, cut: Option<Cut>) {
        *self.state.lock().unwrap() = State { cut, ..State::default() };
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state.lock().unwrap().is_cut
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

/// One request a connection.
fn pass_on(client: TcpStream, service: SocketAddr, state: &Mutex<State>) -> Option<()> {
    let (head, body) = read(&client)?;
    let cut = {
        let mut state = state.lock().unwrap();
        state.requests.push(head.lines().next()?.to_owned());
        state.cut.filter(|cut| state.requests.len() >= cut.after).map(|cut| cut.is_delivered && state.requests.len() == cut.after)
    };
    let answer = if cut.unwrap_or(true) { forward(service, &head, &body)? } else { Vec::new() };
    if cut.is_some() {
        let mut state = state.lock().unwrap();
        state.is_cut = true;
        state.silent.push(client);
        return None;
    }
    (&client).write_all(&answer).ok()
}

/// The head as it goes on, without its last line, and the body.
fn read(client: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn forward(service: SocketAddr, head: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(service).ok()?;
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let _ = stream.shutdown(Shutdown::Both);
    Some(answer)
}

//! A relay before the service that counts requests, and at one of them falls silent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use karman_faults::{Scripted, Seen};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[derive(Default)]
struct State {
    /// How many requests had come when it began to count.
    before: usize,
    cut: Option<Cut>,
    is_cut: bool,
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
    world: Scripted,
    state: Arc<Mutex<State>>,
}

impl Relay {
    pub(super) fn start(service: SocketAddr) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let current = Arc::clone(&state);
        let world = Scripted::start(move |_, client, seen| pass_on(client, seen, service, Arc::clone(&current)));
        Self { address: world.address, world, state }
    }

    /// From now on counts anew, and cuts there.
    pub(super) fn cut(&self, cut: Option<Cut>) {
        *self.state.lock().unwrap() = State { before: self.world.count(), cut, is_cut: false };
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state.lock().unwrap().is_cut
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.world.since(self.state.lock().unwrap().before)
    }
}

/// One request a connection.
async fn pass_on(mut client: TcpStream, seen: Seen, service: SocketAddr, state: Arc<Mutex<State>>) {
    if !seen.read_message(&mut client).await {
        return;
    }
    let request = seen.last();
    let cut = {
        let state = state.lock().unwrap();
        let count = seen.len() - state.before;
        state.cut.filter(|cut| count >= cut.after).map(|cut| cut.is_delivered && count == cut.after)
    };
    let answer = if cut.unwrap_or(true) { forward(service, &request).await.unwrap_or_default() } else { Vec::new() };
    if cut.is_some() {
        state.lock().unwrap().is_cut = true;
        // Whoever waits for the answer is killed meanwhile.
        std::future::pending().await
    }
    let _ = client.write_all(&answer).await;
}

async fn forward(service: SocketAddr, request: &str) -> std::io::Result<Vec<u8>> {
    let (line, rest) = request.split_once("\r\n").unwrap();
    let mut stream = TcpStream::connect(service).await?;
    stream.write_all(format!("{line}\r\nconnection: close\r\n{rest}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

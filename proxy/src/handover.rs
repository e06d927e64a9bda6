//! Taking over from the running proxy: its listening sockets change hands, and no connection is refused.
//!
//! Beside the admin socket the running process listens at `SOCKET.handover`. The next one connects and
//! gets the listeners (SCM_RIGHTS) and a list of them; from then on the old one makes no change to its
//! documents, so that what the new one loads from disk is the newest. It goes on serving until it hears
//! `ready`; if the line breaks before that, it is as if nobody had asked.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::admin::{self, Admin};

/// Sockets in one message.
const LISTENERS_MAX: usize = 32;
/// The list of them, as text.
const LIST_BYTES_MAX: usize = 16 * 1024;
/// From the request for the listeners to `ready`; 100,000 apps load in a fraction of it.
const TAKE_OVER_TIMEOUT: Duration = Duration::from_secs(60);

const READY: &[u8] = b"ready\n";

/// What a socket in the message is for.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    /// As the settings name it.
    name: String,
    address: SocketAddr,
}

/// The listeners of the running process, and the line on which it waits for word.
#[derive(Debug)]
pub struct Inherited {
    listeners: Vec<(Listed, OwnedFd)>,
    line: UnixStream,
}

fn path(admin_socket: &Path) -> PathBuf {
    let mut path = admin_socket.as_os_str().to_owned();
    path.push(".handover");
    path.into()
}

/// Asks the running process for its listeners.
pub async fn ask(admin_socket: &Path) -> io::Result<Inherited> {
    let path = path(admin_socket);
    blocking(move || {
        let line = UnixStream::connect(&path)
            .map_err(|e| io::Error::new(e.kind(), format!("nobody answers at {}: {e}", path.display())))?;
        line.set_read_timeout(Some(TAKE_OVER_TIMEOUT))?;
        receive(line)
    })
    .await
}

fn receive(line: UnixStream) -> io::Result<Inherited> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTENERS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = vec![0; LIST_BYTES_MAX];
    let received = recvmsg(&line, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            sockets.extend(rights);
        }
    }
    let list: Vec<Listed> = serde_json::from_slice(text.get(..received.bytes).unwrap_or_default())?;
    if list.len() != sockets.len() {
        return Err(io::Error::other(format!("the running proxy listed {} listeners and sent {}", list.len(), sockets.len())));
    }
    Ok(Inherited { listeners: list.into_iter().zip(sockets).collect(), line })
}

impl Inherited {
    /// The running process's listener for an address of the settings. Port 0 means whichever it has.
    pub fn listener(&self, name: &str, address: SocketAddr) -> Option<io::Result<StdListener>> {
        let same = |listed: &Listed| {
            listed.name == name
                && listed.address.ip() == address.ip()
                && (address.port() == 0 || listed.address.port() == address.port())
        };
        let (_, socket) = self.listeners.iter().find(|(listed, _)| same(listed))?;
        Some(socket.try_clone().map(StdListener::from))
    }

    /// Tells the running process that this one serves.
    pub async fn ready(mut self) -> io::Result<()> {
        blocking(move || self.line.write_all(READY)).await
    }
}

/// Waits until another process has taken over, however many try and fail.
pub async fn offer(admin_socket: &Path, admin: &Arc<Admin>, listeners: &[TcpListener]) -> io::Result<()> {
    let offered = admin::bind(&path(admin_socket), true)?;
    loop {
        let (stream, _) = offered.accept().await?;
        if !admin::may_speak(&stream) {
            continue;
        }
        // No change from here on, unless the take-over fails.
        let changes = admin.changes.write().await;
        match hand_over(stream, admin, listeners).await {
            // The changes that wait go to nobody: their callers see the connection close, and ask the new process.
            Ok(()) => {
                std::mem::forget(changes);
                return Ok(());
            }
            Err(e) => tracing::warn!(error = %e, "another proxy wanted to take over and did not come up; this one goes on"),
        }
    }
}

async fn hand_over(stream: tokio::net::UnixStream, admin: &Arc<Admin>, listeners: &[TcpListener]) -> io::Result<()> {
    let clients = admin.bound.http.len();
    let names = (0..listeners.len()).map(|index| if index < clients { "listen.http" } else { "probe.address" });
    let list: Vec<Listed> = listeners
        .iter()
        .zip(names)
        .map(|(listener, name)| Ok(Listed { name: name.to_owned(), address: listener.local_addr()? }))
        .collect::<io::Result<_>>()?;
    let sockets: Vec<OwnedFd> =
        listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned()).collect::<io::Result<_>>()?;
    let mut line = stream.into_std()?;
    line.set_nonblocking(false)?;
    line.set_read_timeout(Some(TAKE_OVER_TIMEOUT))?;
    blocking(move || {
        send(&line, &list, &sockets)?;
        let mut word = [0; READY.len()];
        line.read_exact(&mut word)?;
        if word == READY { Ok(()) } else { Err(io::Error::other("it did not say 'ready'")) }
    })
    .await
}

fn send(line: &UnixStream, list: &[Listed], sockets: &[OwnedFd]) -> io::Result<()> {
    let text = serde_json::to_vec(list)?;
    if sockets.len() > LISTENERS_MAX || text.len() > LIST_BYTES_MAX {
        return Err(io::Error::other(format!("{} listeners are more than can be handed over, {LISTENERS_MAX}", sockets.len())));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTENERS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let rights: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    if !control.push(SendAncillaryMessage::ScmRights(&rights)) {
        return Err(io::Error::other("the listeners do not fit into a message"));
    }
    let sent = sendmsg(line, &[IoSlice::new(&text)], &mut control, SendFlags::empty())?;
    if sent == text.len() { Ok(()) } else { Err(io::Error::other("the list of listeners was cut")) }
}

async fn blocking<T: Send + 'static>(job: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(job).await.map_err(io::Error::other)?
}

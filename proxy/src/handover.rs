//! Taking over from the running proxy: its listening sockets change hands, and no connection is refused.
//!
//! Beside the admin socket the running process listens at `SOCKET.handover`. The next one connects, and then:
//!
//! ```text
//! running   the listeners (SCM_RIGHTS), and a list of them. From now on it makes no change to its
//!           documents, so that what the next one loads from disk is the newest
//! next      take    it has loaded, and would accept
//! running   yours   it accepts no more; who comes now waits in the backlog for a moment
//! next      ready   it has answered a request of its own, through each listener
//! running   gone    it carries its tunnels to their end (`processes/previous.rs`)
//! ```
//!
//! If the line breaks before `ready`, it is as if nobody had asked: the running one accepts again.

mod oneself;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::admin::{self, Admin};
use crate::listener::{Acceptors, Door};
use crate::processes::previous::Previous;

pub use self::oneself::ask_oneself;

/// Sockets in one message.
const LISTENERS_MAX: usize = 32;
/// The list of them, as text.
const LIST_BYTES_MAX: usize = 16 * 1024;
/// From the request for the listeners to `ready`; 100,000 apps load in a fraction of it.
const TAKE_OVER_TIMEOUT: Duration = Duration::from_secs(60);

/// From `yours` to `ready`: nobody accepts for longer than this.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a running process may take until it offers its listeners: one that has just taken over itself
/// finds the processes before it first.
const OFFER_TIMEOUT: Duration = Duration::from_secs(15);
const OFFER_RECHECK: Duration = Duration::from_millis(50);

/// How long an error to accept is waited out.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

const TAKE: &[u8] = b"take\n";
const YOURS: &[u8] = b"yours\n";
const READY: &[u8] = b"ready\n";
const GONE: &[u8] = b"gone\n";

/// The listeners, as the settings name them.
pub const LISTEN_HTTP: &str = "listen.http";
pub const LISTEN_HTTPS: &str = "listen.https";
pub const PROBE_ADDRESS: &str = "probe.address";

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

/// Asks the running process for its listeners; `None` if none runs, as after a reboot.
///
/// One that runs and does not offer them has just taken over itself, hands them to another, or is about to
/// stop: it is asked again for a while.
pub async fn ask(admin_socket: &Path) -> io::Result<Option<Inherited>> {
    let admin_socket = admin_socket.to_owned();
    blocking(move || {
        let path = path(&admin_socket);
        let deadline = Instant::now() + OFFER_TIMEOUT;
        loop {
            match UnixStream::connect(&path).and_then(receive) {
                Ok(inherited) => return Ok(Some(inherited)),
                Err(e) if !is_no_offer(&e) => {
                    return Err(io::Error::new(e.kind(), format!("no listeners were offered at {}: {e}", path.display())));
                }
                Err(_) if UnixStream::connect(&admin_socket).is_err() => return Ok(None),
                Err(e) if Instant::now() >= deadline => {
                    tracing::warn!(path = %path.display(), error = %e, "a running proxy did not offer its listeners within {OFFER_TIMEOUT:?}");
                    return Ok(None);
                }
                Err(_) => std::thread::sleep(OFFER_RECHECK),
            }
        }
    })
    .await
}

/// There is no socket, nobody listens at it, or whoever did has gone before it was our turn.
fn is_no_offer(e: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};
    matches!(e.kind(), NotFound | ConnectionRefused | ConnectionReset | UnexpectedEof)
}

fn receive(line: UnixStream) -> io::Result<Inherited> {
    line.set_read_timeout(Some(TAKE_OVER_TIMEOUT))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTENERS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = vec![0; LIST_BYTES_MAX];
    let received = recvmsg(&line, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
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

    /// Returns when the running process accepts no more.
    pub async fn take(&mut self) -> io::Result<()> {
        say_and_hear(self.line.try_clone()?, TAKE, YOURS).await
    }

    /// Tells the running process that this one serves, and waits until it is a previous one.
    pub async fn ready(self) -> io::Result<()> {
        say_and_hear(self.line, READY, GONE).await
    }
}

/// Waits until another process has taken over, however many try and fail.
pub async fn offer(admin: &Arc<Admin>, acceptors: &Acceptors, probe: Option<&TcpListener>) -> io::Result<Arc<Previous>> {
    let offered = admin::bind(&path(&admin.edge.settings.admin.socket), true)?;
    loop {
        let stream = match offered.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                // No files left, say: whoever is running goes on.
                tracing::warn!(error = %e, "another proxy that wants to take over cannot be heard");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        if !admin::may_speak(&stream) {
            continue;
        }
        // No change from here on, unless the take-over fails.
        let changes = admin.changes.write().await;
        match hand_over(stream, admin, acceptors, probe).await {
            // The changes that wait go to nobody: their callers see the connection close, and ask the new process.
            Ok(previous) => {
                std::mem::forget(changes);
                return Ok(previous);
            }
            Err(e) => {
                tracing::warn!(error = %e, "another proxy wanted to take over and did not come up; this one goes on");
                acceptors.pause().await;
                acceptors.start().await;
            }
        }
    }
}

fn listed(name: &str, address: io::Result<SocketAddr>, listener: impl AsFd) -> io::Result<(Listed, OwnedFd)> {
    Ok((Listed { name: name.to_owned(), address: address? }, listener.as_fd().try_clone_to_owned()?))
}

async fn hand_over(
    stream: tokio::net::UnixStream,
    admin: &Arc<Admin>,
    acceptors: &Acceptors,
    probe: Option<&TcpListener>,
) -> io::Result<Arc<Previous>> {
    let mut line = stream.into_std()?;
    line.set_nonblocking(false)?;
    line.set_read_timeout(Some(TAKE_OVER_TIMEOUT))?;
    let door = |door: &Door| {
        let name = if door.is_https { LISTEN_HTTPS } else { LISTEN_HTTP };
        listed(name, door.listener.local_addr(), &*door.listener)
    };
    let probe = probe.map(|probe| listed(PROBE_ADDRESS, probe.local_addr(), probe));
    let listeners = acceptors.doors().iter().map(door).chain(probe).collect::<io::Result<Vec<_>>>()?;
    let (list, sockets): (Vec<_>, Vec<_>) = listeners.into_iter().unzip();
    let mut line = blocking(move || {
        send(&line, &list, &sockets)?;
        hear(&mut line, TAKE)?;
        Ok(line)
    })
    .await?;
    // What the others have counted by now goes into the books that the next one takes over.
    admin.edge.processes.ask().await;
    let previous = Previous::bind(admin)?;
    acceptors.pause().await;
    let mut line = blocking(move || {
        line.set_read_timeout(Some(READY_TIMEOUT))?;
        line.write_all(YOURS)?;
        hear(&mut line, READY)?;
        Ok(line)
    })
    .await?;
    // From here on the other one is the current process, whatever happens to the line.
    let previous = previous.begin();
    let _ = blocking(move || line.write_all(GONE)).await;
    Ok(previous)
}

async fn say_and_hear(mut line: UnixStream, word: &'static [u8], answer: &'static [u8]) -> io::Result<()> {
    blocking(move || {
        line.write_all(word)?;
        hear(&mut line, answer)
    })
    .await
}

fn hear(line: &mut UnixStream, wanted: &[u8]) -> io::Result<()> {
    let mut word = vec![0; wanted.len()];
    line.read_exact(&mut word)?;
    if word == wanted {
        return Ok(());
    }
    let (found, wanted) = (String::from_utf8_lossy(&word).into_owned(), String::from_utf8_lossy(wanted).into_owned());
    Err(io::Error::other(format!("the other process said {found:?}, wanted {wanted:?}")))
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

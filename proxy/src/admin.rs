//! The admin socket: documents in, status and events out. Only our own user and root may speak here.

mod calls;
mod follow;
mod load;
mod told;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora_core::server::ShutdownWatch;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{RwLock, Semaphore};

use crate::aside::Aside;
use crate::certificates::Certificates;
use crate::documents::{Held, HeldKeys};
use crate::edge::Edge;
use crate::http_server;
use crate::page_table::Pages;
use crate::table::Apps;

/// What the admin calls work on.
#[derive(Debug)]
pub struct Admin {
    pub edge: Arc<Edge>,
    pub apps: Held<Apps>,
    pub pages: Held<Pages>,
    pub certificates: Held<Certificates>,
    pub keys: HeldKeys,
    pub bound: karman_contract::status::Bound,
    /// Held for reading by every change; for writing while another process takes over, so that no
    /// change is made here that the other one has not loaded.
    pub changes: RwLock<()>,
    pub aside: Aside,
}

/// Binds the socket with mode 0600, over one that nobody listens at any more.
///
/// `take_over` replaces a socket that is listened at: its process is handing over to this one.
pub fn bind(path: &Path, take_over: bool) -> io::Result<UnixListener> {
    if !take_over && std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "a running proxy answers there; '--upgrade' takes over from it"));
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // Made beside and moved into place: there is always a socket at the path, and never one that others may open.
    let mut beside = PathBuf::from(path).into_os_string();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&beside, path)?;
    Ok(listener)
}

/// Serves calls until `stop` says so; then every connection is closed.
pub async fn serve(listener: UnixListener, admin: Arc<Admin>, mut stop: ShutdownWatch) {
    let slots = Arc::new(Semaphore::new(admin.edge.settings.limits.admin_connections));
    let body_bytes_max = admin.edge.settings.limits.admin_body_bytes;
    loop {
        let accepted = async {
            let accepted = listener.accept().await;
            (accepted, Arc::clone(&slots).acquire_owned().await)
        };
        let (accepted, slot) = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.changed() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        if !may_speak(&stream) {
            continue;
        }
        let admin = Arc::clone(&admin);
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let calls = http_server::serve(Box::new(stream), body_bytes_max, |call| Arc::clone(&admin).answer(call));
            // Whoever is still connected then has to turn to the process that took over.
            tokio::select! {
                () = calls => {}
                _ = stop.changed() => {}
            }
            drop(slot);
        });
    }
}

/// Whether the peer runs as our user or as root.
pub fn may_speak(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 || peer.uid() == ours => true,
        Ok(peer) => {
            tracing::warn!(uid = peer.uid(), pid = peer.pid(), "a stranger spoke to the admin socket and was not heard");
            false
        }
        Err(_) => false,
    }
}

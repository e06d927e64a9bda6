//! A network between two sides, which can be made to misbehave: per direction, and for the connections that come from then on.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::sleep;

use crate::world::World;

/// What the network does to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Everything comes so much later.
    Delay(Duration),
    /// One byte after the other, with this between them.
    Drip(Duration),
    /// So many bytes, and then an orderly end of this direction.
    HalfClose(usize),
    /// So many bytes, and then a reset of both sides.
    Reset(usize),
    /// So many bytes, and then nothing more, though the connection stays.
    Silence(usize),
    /// So many bytes, then these, then the rest.
    Insert(usize, &'static [u8]),
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From who connects to who is connected to.
    There,
    Back,
}

pub struct Relay {
    pub address: SocketAddr,
    faults: Arc<Mutex<(Fault, Fault)>>,
    _world: World,
}

impl Relay {
    /// Connects whoever comes to `to`.
    pub fn start(to: SocketAddr) -> Self {
        let faults = Arc::new(Mutex::new((Fault::None, Fault::None)));
        let current = Arc::clone(&faults);
        let world = World::start(SocketAddr::from(([127, 0, 0, 1], 0)), move |_, near| {
            let (there, back) = *current.lock().unwrap();
            relay(near, to, there, back)
        });
        Self { address: world.address, faults, _world: world }
    }

    pub fn set(&self, way: Way, fault: Fault) {
        let mut faults = self.faults.lock().unwrap();
        match way {
            Way::There => faults.0 = fault,
            Way::Back => faults.1 = fault,
        }
    }
}

async fn relay(mut near: TcpStream, to: SocketAddr, there: Fault, back: Fault) {
    let Ok(mut far) = TcpStream::connect(to).await else { return };
    let _ = far.set_nodelay(true);
    let ended = {
        let ((near_read, near_write), (far_read, far_write)) = (near.split(), far.split());
        tokio::try_join!(carry(near_read, far_write, there), carry(far_read, near_write, back))
    };
    if ended.is_err() {
        // What breaks on one side breaks on both.
        let _ = (near.set_zero_linger(), far.set_zero_linger());
    }
}

async fn carry(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, fault: Fault) -> io::Result<()> {
    let mut carried = 0;
    let mut bytes = [0; 16_384];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let piece = &bytes[..read];
        // How much of it comes before the place where the fault is.
        let before = |at: usize| at.saturating_sub(carried).min(read);
        match fault {
            Fault::None => to.write_all(piece).await?,
            Fault::Delay(time) => {
                sleep(time).await;
                to.write_all(piece).await?;
            }
            Fault::Drip(pause) => {
                for byte in piece {
                    to.write_all(&[*byte]).await?;
                    sleep(pause).await;
                }
            }
            Fault::Insert(at, extra) => {
                let (first, rest) = piece.split_at(before(at));
                to.write_all(first).await?;
                if (carried..carried + read).contains(&at) {
                    to.write_all(extra).await?;
                }
                to.write_all(rest).await?;
            }
            Fault::HalfClose(at) | Fault::Reset(at) | Fault::Silence(at) => {
                to.write_all(&piece[..before(at)]).await?;
                if carried + read >= at {
                    return end(from, to, fault).await;
                }
            }
        }
        carried += read;
    }
}

async fn end(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, fault: Fault) -> io::Result<()> {
    match fault {
        Fault::Reset(_) => Err(io::ErrorKind::ConnectionReset.into()),
        Fault::Silence(_) => std::future::pending().await,
        _ => {
            to.shutdown().await?;
            // What is sent on is lost.
            tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map(drop)
        }
    }
}

//! A client whose tunnel is over: it is kept for a while, or seen off.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::frames::GOING_AWAY;
use crate::socket::Socket;

/// How long a client may take, from when it should be gone, to take what it was sent and to leave; then it is reset.
pub(super) const RESET_AFTER: Duration = Duration::from_secs(5);

/// The client of a tunnel whose app is gone, and does not know it yet.
#[derive(Debug)]
pub struct Orphan {
    pub(super) client: Socket,
    pub(super) between_frames: bool,
}

impl Orphan {
    /// Waits for the client to leave. What it says meanwhile is nobody's: it will say it again when it is back.
    pub async fn left(&mut self) {
        let mut nobody = [0; 1_024];
        while matches!(self.client.read(&mut nobody).await, Ok(read) if read > 0) {}
    }

    /// Lets the client go where there is somebody.
    pub async fn release(mut self) {
        let reset_at = Instant::now() + RESET_AFTER;
        if self.between_frames {
            let _ = timeout_at(reset_at, self.client.write_all(&GOING_AWAY)).await;
        }
        see_off(self.client, reset_at).await;
    }
}

/// Ends a client's connection so that all that it was sent arrives: a FIN, and then what it still says is
/// read by nobody, because a socket that is closed with bytes unread resets, and a reset overtakes
/// what is on its way. A client that does not leave is reset at last.
pub(super) async fn see_off(mut client: Socket, reset_at: Instant) {
    let leaving = async {
        client.shutdown().await?;
        let mut nobody = [0; 1_024];
        while client.read(&mut nobody).await? > 0 {}
        io::Result::Ok(())
    };
    if timeout_at(reset_at, leaving).await.is_err() {
        let _ = client.set_zero_linger();
    }
}

//! One client from its first message to its last: a DDP session and the wire that carries it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::app::App;
use crate::ddp::Session;

/// A client that takes nothing for this long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// The longest message of a client, in bytes.
pub(crate) const MESSAGE_LIMIT: usize = 1024 * 1024;

/// What carries messages both ways: a raw WebSocket, SockJS in one, or SockJS polling.
pub(crate) trait Wire {
    /// The client's next messages, or nothing when it is gone. It may be cancelled at any time.
    fn receive(&mut self) -> impl Future<Output = Option<Vec<String>>> + Send;

    fn send(&mut self, messages: Vec<String>) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Ends it from our side.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// The client went away.
pub(crate) struct Gone;

/// Runs until either side has enough. This is the one task that a connected client costs.
pub(crate) async fn converse(app: Arc<App>, mut wire: impl Wire) {
    let mut session = Session::new(app);
    while !session.is_over() {
        tokio::select! {
            received = wire.receive() => match received {
                Some(messages) => messages.iter().for_each(|message| session.receive(message)),
                None => return,
            },
            () = session.wake() => {}
        }
        let messages = session.take_outbox();
        if !messages.is_empty() && !matches!(timeout(SEND_LIMIT, wire.send(messages)).await, Ok(Ok(()))) {
            return;
        }
    }
    // Whether the client hears the goodbye in time is its own affair.
    let _ = timeout(SEND_LIMIT, wire.close()).await;
}

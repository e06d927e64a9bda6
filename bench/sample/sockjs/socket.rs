//! SockJS over a WebSocket: its frames as text messages, its heartbeat as a WebSocket ping.

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::frame::{self, Frame};
use crate::app::App;
use crate::conversation::{Gone, Wire, converse};
use crate::http::answer::Response;
use crate::websocket::{self, Heard, Socket};

/// How long a pong may take.
const PONG_LIMIT: Duration = Duration::from_secs(10);

pub(super) fn answer(app: &Arc<App>, request: Request<Incoming>) -> Response {
    let app = Arc::clone(app);
    websocket::upgrade(request, |mut socket| async {
        if socket.say([Frame::Open.to_string()]).await.is_ok() {
            let interval = app.heartbeat;
            converse(app, FramedSocket { socket, interval, next: Instant::now() + interval, pinged: false }).await;
        }
    })
}

struct FramedSocket {
    socket: Socket,
    interval: Duration,
    /// When to ping, or when to give up if that was done.
    next: Instant,
    pinged: bool,
}

impl FramedSocket {
    /// Puts the ping off: something was heard or said.
    fn alive(&mut self) {
        self.pinged = false;
        self.next = Instant::now() + self.interval;
    }

    async fn beat(&mut self) -> Result<(), Gone> {
        if self.pinged {
            self.end(Frame::NO_HEARTBEAT).await;
            return Err(Gone);
        }
        self.pinged = true;
        self.next = Instant::now() + PONG_LIMIT;
        self.socket.ping().await
    }

    async fn end(&mut self, goodbye: Frame) {
        if self.socket.say([goodbye.to_string()]).await.is_ok() {
            self.socket.close(1000, "Normal closure").await;
        }
    }
}

impl Wire for FramedSocket {
    async fn receive(&mut self) -> Option<Vec<String>> {
        loop {
            tokio::select! {
                heard = self.socket.hear() => {
                    let heard = heard?;
                    self.alive();
                    match heard {
                        Heard::Text(text) if !text.is_empty() => match frame::read(&text) {
                            Ok(messages) => return Some(messages),
                            Err(_) => {
                                self.socket.close(3000, "Broken framing.").await;
                                return None;
                            }
                        },
                        _ => {}
                    }
                }
                () = sleep_until(self.next) => self.beat().await.ok()?,
            }
        }
    }

    async fn send(&mut self, messages: Vec<String>) -> Result<(), Gone> {
        if !self.pinged {
            self.alive();
        }
        self.socket.say([Frame::Messages(messages).to_string()]).await
    }

    async fn close(&mut self) {
        self.end(Frame::NORMAL_CLOSURE).await;
    }
}

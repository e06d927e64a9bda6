//! WebSockets: the upgrade, and the raw wire on which every message is one DDP message.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::app::App;
use crate::conversation::{Gone, MESSAGE_LIMIT, Wire, converse};
use crate::http::answer::{self, Response};

/// Ten thousand idle sockets should cost their tasks and little else; the library's default is 128 KiB.
const READ_BUFFER: usize = 4 * 1024;

/// `/websocket`: DDP with nothing around it.
pub(crate) fn raw(app: &Arc<App>, request: Request<Incoming>) -> Response {
    let app = Arc::clone(app);
    upgrade(request, |socket| converse(app, socket))
}

/// Answers 101 and runs `serve` on the socket, or says why not.
pub(crate) fn upgrade<F>(request: Request<Incoming>, serve: impl FnOnce(Socket) -> F + Send + 'static) -> Response
where
    F: Future<Output = ()> + Send,
{
    let headers = request.headers();
    let asks = request.method() == Method::GET
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket");
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asks) else {
        return answer::text(StatusCode::BAD_REQUEST, "Not a valid websocket request");
    };
    if !headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13" || version == "8") {
        return answer::text(StatusCode::BAD_REQUEST, "Only supported WebSocket protocol is RFC 6455.");
    }
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));

    tokio::spawn(async {
        // It fails only when the client left between its request and our answer.
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            serve(Socket::over(upgraded).await).await;
        }
    });
    let mut response = answer::empty(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().extend(accept.map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)));
    response
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

pub(crate) struct Socket(WebSocketStream<TokioIo<Upgraded>>);

pub(crate) enum Heard {
    Text(String),
    /// Anything that only proves that the other side is there.
    Life,
}

impl Socket {
    async fn over(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT));
        Self(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await)
    }

    /// The next thing heard, or nothing when the socket has ended. It may be cancelled at any time.
    pub(crate) async fn hear(&mut self) -> Option<Heard> {
        match self.0.next().await? {
            Ok(Message::Text(text)) => Some(Heard::Text(text.to_string())),
            // A close is answered while we ask for what comes after it, which is nothing.
            Ok(_) => Some(Heard::Life),
            Err(_) => None,
        }
    }

    pub(crate) async fn say(&mut self, texts: impl IntoIterator<Item = String>) -> Result<(), Gone> {
        for text in texts {
            self.0.feed(Message::text(text)).await.map_err(|_| Gone)?;
        }
        self.0.flush().await.map_err(|_| Gone)
    }

    pub(crate) async fn ping(&mut self) -> Result<(), Gone> {
        self.0.send(Message::Ping(Bytes::new())).await.map_err(|_| Gone)
    }

    /// Says goodbye and waits for the answer, lest what we said last is lost in a reset.
    pub(crate) async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        if self.0.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = self.0.next().await {}
        }
    }
}

impl Wire for Socket {
    async fn receive(&mut self) -> Option<Vec<String>> {
        loop {
            if let Heard::Text(text) = self.hear().await? {
                return Some(vec![text]);
            }
        }
    }

    async fn send(&mut self, messages: Vec<String>) -> Result<(), Gone> {
        self.say(messages).await
    }

    async fn close(&mut self) {
        Self::close(self, 1000, "Normal closure").await;
    }
}

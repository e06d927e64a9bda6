//! A DDP client on a WebSocket, raw or inside SockJS frames.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::process::{Sample, soon};

/// A WebSocket and nothing else.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub(crate) async fn open(sample: &Sample, path: &str) -> Self {
        let stream = TcpStream::connect(&sample.address).await.unwrap();
        let (socket, _) = soon(client_async(format!("ws://{}{path}", sample.address), stream)).await.unwrap();
        Self(socket)
    }

    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        soon(self.0.send(Message::text(text.into()))).await.unwrap();
    }

    /// The next message of any kind, or nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        soon(self.0.next()).await.and_then(Result::ok)
    }

    /// The next text.
    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("wanted a text, got {other:?}"),
        }
    }

    /// The code with which the other side closes next.
    pub(crate) async fn close_code(&mut self) -> u16 {
        match self.next().await {
            Some(Message::Close(Some(frame))) => frame.code.into(),
            other => panic!("wanted a close, got {other:?}"),
        }
    }
}

/// DDP on the raw `/websocket`.
pub(crate) struct Ddp(Socket);

impl Ddp {
    pub(crate) async fn open(sample: &Sample) -> Self {
        Self(Socket::open(sample, "/websocket").await)
    }

    pub(crate) async fn connect(sample: &Sample) -> Self {
        let mut ddp = Self::open(sample).await;
        ddp.send(json!({ "msg": "connect", "version": "1", "support": ["1", "pre2", "pre1"] })).await;
        let connected = ddp.next().await;
        assert_eq!(connected["msg"], "connected");
        assert_eq!(connected["session"].as_str().unwrap().len(), 17);
        ddp
    }

    /// A connected client that knows the whole list: each `[id, fields]` of it, and the client.
    pub(crate) async fn watching_todos(sample: &Sample) -> (Self, Vec<Value>) {
        let mut ddp = Self::connect(sample).await;
        ddp.send(json!({ "msg": "sub", "id": "todos", "name": "todos", "params": [] })).await;
        let mut todos = Vec::new();
        loop {
            let message = ddp.next().await;
            match message["msg"].as_str().unwrap() {
                "added" => todos.push(message),
                "ready" => return (ddp, todos),
                other => panic!("unexpected {other}"),
            }
        }
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.0.say(message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.0.say(text).await;
    }

    pub(crate) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.0.text().await).unwrap()
    }

    /// Calls a method, and answers with its `result` message and the data that came before `updated`.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> (Value, Vec<Value>) {
        self.send(json!({ "msg": "method", "id": "m", "method": method, "params": params })).await;
        let result = self.next().await;
        assert_eq!((&result["msg"], &result["id"]), (&json!("result"), &json!("m")), "{result}");
        let mut data = Vec::new();
        loop {
            let message = self.next().await;
            if message["msg"] == "updated" {
                assert_eq!(message["methods"], json!(["m"]));
                return (result, data);
            }
            data.push(message);
        }
    }

    pub(crate) async fn ended(&mut self) {
        assert_eq!(self.0.close_code().await, 1000);
    }
}

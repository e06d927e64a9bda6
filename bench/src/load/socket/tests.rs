//! Who is still there.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

/// Both ends of a socket whose handshake is over.
async fn pair() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (WebSocketStream::from_raw_socket(client, Role::Client, None).await, server)
}

async fn ends(socket: &Socket) {
    while is_open(socket) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_socket_is_open_until_the_other_side_ends_it_and_what_was_said_stays() {
    let (mut socket, mut server) = pair().await;
    assert!(is_open(&socket));
    server.write_all(b"\x81\x02hi").await.unwrap();
    assert!(is_open(&socket));
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hi"));
    drop(server);
    tokio::time::timeout(Duration::from_secs(10), ends(&socket)).await.expect("it has ended");
}

//! What the event loop hears of a socket that rests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Wake;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// A socket of ours, and the other end of it.
async fn pair() -> (Tcp, Watched) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = Watched::connect(listener.local_addr().unwrap()).await.unwrap();
    (Tcp::Watched(listener.accept().await.unwrap().0), far)
}

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Looks once, for somebody who is to hear of it with this bell.
fn look(socket: &mut Tcp, bell: &Arc<Bell>) -> Poll<io::Result<Vec<u8>>> {
    let mut bytes = [0; 64];
    let mut buf = ReadBuf::new(&mut bytes);
    let read = Pin::new(socket).poll_read(&mut Context::from_waker(&Arc::clone(bell).into()), &mut buf);
    read.map_ok(|()| buf.filled().to_vec())
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "{what}");
        yield_now().await;
    }
}

#[tokio::test]
async fn what_comes_to_a_socket_that_is_left_alone_wakes_nobody_and_is_there() {
    let (mut socket, mut far) = pair().await;
    let bell = Arc::new(Bell::default());
    assert!(look(&mut socket, &bell).is_pending());
    socket.leave_alone();
    far.write_all(b"one").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(bell.0.load(Relaxed), 0, "it was left alone");
    assert!(matches!(look(&mut socket, &bell), Poll::Ready(Ok(bytes)) if bytes == b"one"));
    // Nothing more is there: from now on it is waited for.
    assert!(look(&mut socket, &bell).is_pending());
    far.write_all(b"two").await.unwrap();
    until("it is told of", || bell.0.load(Relaxed) > 0).await;
    assert!(matches!(look(&mut socket, &bell), Poll::Ready(Ok(bytes)) if bytes == b"two"));
    socket.leave_alone();
    drop(far);
    until("its end is there", || matches!(look(&mut socket, &bell), Poll::Ready(Ok(bytes)) if bytes.is_empty())).await;
}

#[tokio::test]
async fn a_socket_that_was_left_alone_can_be_written_to_and_ended() {
    let (mut socket, mut far) = pair().await;
    socket.leave_alone();
    socket.leave_alone();
    socket.set_zero_linger().unwrap();
    assert!(matches!(socket, Tcp::Unwatched(_)));
    socket.write_all(b"one").await.unwrap();
    assert!(matches!(socket, Tcp::Watched(_)));
    far.read_exact(&mut [0; 3]).await.unwrap();
    socket.leave_alone();
    drop(socket);
    assert_eq!(far.read(&mut [0; 1]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

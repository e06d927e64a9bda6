//! A thread of its own for what stands outside of a test, so that tests with and without a runtime use the same.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// Accepts at an address until it is dropped; by then the address is free and all its connections are closed.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl World {
    /// Gives each connection to `serve`, with its number from 0.
    pub(crate) fn start<F>(at: SocketAddr, serve: impl Fn(usize, TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let accept = async move {
            let listener = TcpListener::from_std(listener).unwrap();
            for n in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(n, stream));
            }
        };
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! { () = accept => {}, _ = ended => {} }
            });
        };
        Self { address, end: Some(end), thread: Some(std::thread::spawn(run)) }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.end.take());
        // A connection whose script panicked has failed its test already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

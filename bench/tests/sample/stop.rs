//! How it starts wrongly and how it stops.

use rustix::process::Signal;

use super::ddp_client::Ddp;
use super::http_client::begin;
use super::process::{Sample, command, soon};

#[tokio::test]
async fn a_signal_stops_it_at_once_whatever_is_open() {
    for signal in [Signal::TERM, Signal::INT] {
        let sample = Sample::start().await;
        let _socket = Ddp::watching_todos(&sample).await;
        let _request = begin(&sample, "POST", "/sockjs/1/open/xhr_streaming", &[], "").await;
        assert_eq!(sample.stop(signal).await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_start_that_cannot_be_says_why() {
    let other = Sample::start().await;
    for (arguments, said) in [
        (["--listen", other.address.as_str()], "cannot listen on 127.0.0.1:"),
        (["--data", "/nowhere/todos.jsonl"], "cannot open /nowhere/todos.jsonl"),
        (["--prefix", "sockjs"], "wanted a path such as /sockjs"),
        (["--instance", "a b"], "wanted 1 to 64 letters"),
        (["--heartbeat-seconds", "0"], "wanted 1 to 3600 seconds"),
    ] {
        let output = soon(command().args(arguments).output()).await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(said), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

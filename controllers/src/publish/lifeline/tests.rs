//! When the line counts as cut.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::thread;

use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_proxy_that_went_away_before_the_line_was_open_has_cut_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut lifeline = Lifeline::default();
    lifeline.hold(&Admin::new(folder.path().join("nobody.sock")), Timestamp::UNIX_EPOCH);
    // Unwatched, it would be the confirm, 10 s later, that finds it out.
    assert!(timeout(PATIENCE, lifeline.cut()).await.is_ok());
}

#[tokio::test]
async fn a_proxy_that_was_started_anew_before_the_line_was_open_has_cut_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (asked, is_asked) = std::sync::mpsc::channel();
    // The line stays open, and the status is that of a run which began at a certain time.
    thread::spawn(move || {
        let mut lines = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let first = head.next().unwrap();
            head.for_each(drop);
            if first.contains("/v1/events") {
                let _ = write!(&stream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
                lines.push(stream);
            } else {
                let status = r#"{"version":"0.1.0","contract":1,"edge":{"name":"e","region":"r"},"started_at":"2026-11-23T08:00:00Z",
                    "draining":false,"connections":0,"tunnels":0,"bound":{"http":[],"https":[]},"documents":{},"processes":[]}"#;
                let _ = write!(&stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{status}", status.len());
                let _ = asked.send(());
            }
        }
    });
    let admin = Admin::new(&socket);
    let began: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
    let mut same = Lifeline::default();
    same.hold(&admin, began);
    let mut other = Lifeline::default();
    other.hold(&admin, Timestamp::UNIX_EPOCH);
    assert!(timeout(PATIENCE, other.cut()).await.is_ok(), "another run answers");
    assert!(is_asked.try_iter().count() >= 1);
    assert!(timeout(Duration::from_millis(300), same.cut()).await.is_err(), "the run that was met still stands");
}

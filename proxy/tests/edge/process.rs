//! The process: settings, start from disk, stop, upgrade.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use karman_faults::Scripted;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{App, Edge, HOST, Load, SOON, end, exchange, instances_json, parse, signal, spawn, until};

fn check(text: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.yaml");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_karman-proxy")).arg("--check").arg("--settings").arg(&file).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn bad_settings_name_every_mistake_with_its_place_and_exit_64() {
    assert_eq!(check("listen: {http: [\"127.0.0.1:0\"]}\n").0, Some(0));
    let (code, said) = check("listen:\n  http: [\"nowhere\"]\n  htp: []\nthreads: many\nlimits: {grace_seconds: -1}\n");
    assert_eq!(code, Some(64));
    for place in [
        "edge.yaml:2:10: listen.http[0]: ",
        "edge.yaml:3:3: listen.htp: ",
        "edge.yaml:4:10: threads: ",
        "edge.yaml:5:25: limits.grace_seconds: ",
    ] {
        assert!(said.contains(place), "'{place}' is missing in:\n{said}");
    }
    assert_eq!(said.matches('^').count(), 4, "{said}");
    let gone = Command::new(env!("CARGO_BIN_EXE_karman-proxy")).args(["--settings", "/nowhere/edge.yaml"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(64));
}

#[tokio::test]
async fn a_second_proxy_at_the_same_socket_says_how_to_take_over() {
    let edge = Edge::start().await;
    let output = Command::new(env!("CARGO_BIN_EXE_karman-proxy"))
        .arg("--settings")
        .arg(edge.dir.path().join("edge.yaml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("'--upgrade' takes over from it"), "{output:?}");
    assert_eq!(edge.admin("GET", "/v1/status", "").await.status, 200, "the first one is as it was");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let edge = Edge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.yaml");
    let folder = dir.path().display();
    let text =
        format!("listen: {{http: [\"{}\"]}}\nadmin: {{socket: {folder}/a.sock}}\nstate: {{dir: {folder}/state}}\n", edge.http);
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_karman-proxy")).arg("--settings").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&edge.http.to_string()) && said.contains("listen.http"), "{said}");
}

/// While the kernel makes the table larger, all threads stand still: a crowd would wait for that five times.
#[tokio::test]
async fn the_table_of_open_files_is_as_large_at_the_start_as_it_will_be() {
    let mut edge = Edge::start_with("limits: {connections: 3000}\n").await;
    let table = |pid: u32| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap().trim().parse().unwrap()
    };
    assert!(table(edge.process.id()) >= 6_000, "a client's and its app's: {}", table(edge.process.id()));
    let mut previous = edge.upgrade().await;
    assert!(table(edge.process.id()) >= 6_000, "nor does the next process make its clients wait");
    end(&mut previous);
}

#[tokio::test]
async fn the_admin_socket_is_for_its_owner_alone() {
    let edge = Edge::start().await;
    let mode = |name: &str| std::fs::metadata(edge.dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("admin.sock"), mode("admin.sock.handover"), mode("state")), (0o600, 0o600, 0o700));
}

#[tokio::test]
async fn a_killed_proxy_serves_from_disk_within_a_second() {
    let (mut edge, app) = (Edge::start().await, App::start("a"));
    assert_eq!(edge.probe("/readyz").await.status, 503, "no table yet");
    edge.put_todos(&[("a", app.address)]).await;
    assert_eq!(edge.probe("/readyz").await.status, 200);
    let cookie = edge.get("/", "").await.cookie().unwrap();
    end(&mut edge.process);
    let start = Instant::now();
    edge.restart().await;
    let answer = edge.get("/", &format!("cookie: {cookie}\r\n")).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!((answer.status, answer.cookie()), (200, None), "and the cookie still holds");
}

#[tokio::test]
async fn a_torn_document_on_disk_falls_back_and_says_so() {
    let (mut edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    edge.put_app(&instances_json(&[("a", app.address)]), r#","state":"stopped""#).await;
    end(&mut edge.process);
    let state = edge.dir.path().join("state");
    let mut files: Vec<_> = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().contains("apps-") && path.extension().is_some_and(|end| end == "json"));
    let newest = files.iter().max().unwrap();
    let text = std::fs::read(newest).unwrap();
    std::fs::write(newest, &text[..text.len() / 2]).unwrap();
    edge.restart().await;
    assert_eq!(edge.generation().await, 1, "the one before");
    assert_eq!(edge.get("/", "").await.status, 200);
    let said = std::fs::read_to_string(edge.dir.path().join("edge.log")).unwrap();
    assert!(said.contains(newest.file_name().unwrap().to_str().unwrap()), "{said}");
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_spreads_the_ends_of_tunnels() {
    let (mut edge, app) = (Edge::start_with("limits: {grace_seconds: 3}").await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(edge.socket_at("/websocket", &[]).await.unwrap());
    }
    let mut idle = TcpStream::connect(edge.http).await.unwrap();
    idle.write_all(format!("GET /api/instance HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let mut first = vec![0; 4_096];
    let n = idle.read(&mut first).await.unwrap();
    assert_eq!(parse(&first[..n]).unwrap().status, 200);
    let http = edge.http;
    let slow = tokio::spawn(async move {
        let stream = TcpStream::connect(http).await.unwrap();
        exchange(
            stream,
            &format!("GET /api/slow?ms=1500 HTTP/1.1\r\nhost: {HOST}\r\nx-request-id: slow\r\nconnection: close\r\n\r\n"),
        )
        .await
    });
    until("the slow request is with the app", async || edge.instance("a").await["in_flight"] == 1).await;
    let stopped = Instant::now();
    signal(&edge.process, "TERM");
    until("readyz says so", async || edge.probe("/readyz").await.text().contains("draining")).await;
    assert_eq!(edge.probe("/healthz").await.status, 200);
    until("nobody listens any more", async || TcpStream::connect(http).await.is_err()).await;
    let mut ends = Vec::new();
    for ws in sockets {
        ends.push(tokio::spawn(async move {
            let mut socket = ws.socket;
            while let Some(Ok(_)) = socket.next().await {}
            stopped.elapsed()
        }));
    }
    assert_eq!(slow.await.unwrap().expect("it was answered").status, 200);
    assert_eq!(idle.read(&mut first).await.unwrap(), 0, "an idle connection is closed");
    let mut times = Vec::new();
    for end in ends {
        times.push(end.await.unwrap());
    }
    times.sort();
    let spread = times[19] - times[0];
    assert!(spread > Duration::from_millis(1_800), "all closed within {spread:?}: {times:?}");
    let status = tokio::task::spawn_blocking(move || edge.process.wait().map(|status| (status, edge))).await.unwrap().unwrap();
    assert_eq!(status.0.code(), Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn a_socket_that_is_on_its_way_at_a_stop_is_told_to_close_too() {
    let app = Scripted::start(|_, mut stream, heads| async move {
        if heads.read(&mut stream).await {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let accept = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                          sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
            let _ = stream.write_all(accept.as_bytes()).await;
            // Told that the edge goes away, it goes too.
            let _ = stream.read(&mut [0; 64]).await;
        }
    });
    let mut edge = Edge::start_with("limits: {grace_seconds: 20}").await;
    edge.put_todos(&[("a", app.address)]).await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    let request = format!(
        "GET /websocket HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    until("the app has been asked", async || app.count() == 1).await;
    let stopped = Instant::now();
    signal(&edge.process, "TERM");
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert!(all.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&all));
    assert_eq!(edge.process.wait().unwrap().code(), Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(10), "it was kept for {:?}", stopped.elapsed());
}

#[tokio::test]
async fn a_stop_with_nothing_open_takes_no_time() {
    let mut edge = Edge::start().await;
    let start = Instant::now();
    signal(&edge.process, "TERM");
    let (status, _edge) = tokio::task::spawn_blocking(move || (edge.process.wait().unwrap(), edge)).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_upgrade_refuses_no_connection_fails_no_request_and_keeps_sockets() {
    let (mut edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let cookie = edge.get("/", "").await.cookie().unwrap();
    let mut sockets = Vec::new();
    for _ in 0..50 {
        sockets.push(edge.socket_at("/websocket", &[]).await.unwrap());
    }
    let mut publisher = UnixStream::connect(edge.socket()).await.unwrap();
    publisher.write_all(b"GET /v1/events HTTP/1.1\r\nhost: admin\r\n\r\n").await.unwrap();
    let load = Load::start(edge.http);
    let mut previous = Vec::new();
    for round in 0..3 {
        let before = load.served();
        until("there is load", async || load.served() > before + 50).await;
        previous.push(edge.upgrade().await);
        let after = load.served();
        until("and still is", async || load.served() > after + 50).await;
        assert_eq!(load.failed(), 0, "in round {round}, of {}", load.served());
    }
    load.stop().await;
    let told = tokio::time::timeout(SOON, publisher.read_to_end(&mut Vec::new())).await;
    assert!(told.is_ok(), "whoever was connected to the first process is sent to the next");
    assert_eq!(edge.get("/", &format!("cookie: {cookie}\r\n")).await.cookie(), None, "cookies hold");
    edge.put_app(&instances_json(&[("a", app.address)]), r#","state":"stopped""#).await;
    assert_eq!(edge.get("/", "").await.code(), "app-stopped", "changes go to the new one");
    for ws in &mut sockets {
        ws.socket.send(Message::text(r#"{"msg":"connect","version":"1","support":["1"]}"#)).await.unwrap();
        assert!(ws.socket.next().await.unwrap().unwrap().to_text().unwrap().contains("connected"));
    }
    assert!(previous[0].try_wait().unwrap().is_none(), "the first process still carries the sockets");
    assert!(previous[1].wait().unwrap().success(), "the second had none, and went");
    drop(sockets);
    until("it goes with its last socket", async || previous[0].try_wait().unwrap().is_some_and(|status| status.success())).await;
    end(&mut previous[2]);
}

#[tokio::test]
async fn an_upgrade_of_nothing_is_a_start_also_after_a_crash() {
    let mut edge = Edge::start().await;
    end(&mut edge.process);
    assert!(edge.dir.path().join("admin.sock.handover").exists(), "what a crash leaves behind");
    edge.process = spawn(&edge.dir.path().join("edge.yaml"), &["--upgrade"]);
    edge.until_up().await;
    assert_eq!(edge.probe("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_process_that_cannot_take_over_leaves_the_first_one_serving() {
    let (edge, app) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", app.address)]).await;
    let settings = edge.dir.path().join("edge.yaml");
    let good = std::fs::read_to_string(&settings).unwrap();
    // Its state folder is a file: it cannot load, after it got the listeners.
    std::fs::write(edge.dir.path().join("file"), "").unwrap();
    let bad = good.replace("/state}", "/file}");
    assert_ne!(bad, good);
    std::fs::write(edge.dir.path().join("bad.yaml"), bad).unwrap();
    let output = tokio::task::spawn_blocking({
        let file = edge.dir.path().join("bad.yaml");
        move || Command::new(env!("CARGO_BIN_EXE_karman-proxy")).arg("--upgrade").arg("--settings").arg(file).output().unwrap()
    })
    .await
    .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(edge.get("/", "").await.status, 200);
    edge.put_app(&instances_json(&[("a", app.address)]), r#","state":"stopped""#).await;
    assert_eq!(edge.get("/", "").await.code(), "app-stopped", "it takes changes again");
}

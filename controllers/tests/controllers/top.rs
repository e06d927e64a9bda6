//! `karman top` before a real proxy, an older one, and a terminal.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use karman_faults::Scripted;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::admin_socket::{listen, status};
use crate::edge::{Edge, page};
use crate::program::{KARMAN, Program, children, karman, signal, wait_until};

/// Answers 200, or 500 where its host is `b.test`; upgrades, and keeps its sockets as long as their clients do.
fn app() -> Scripted {
    Scripted::start(|_, mut stream, seen| async move {
        while seen.read(&mut stream).await {
            let head = seen.last().to_ascii_lowercase();
            let answer: &[u8] = match () {
                () if head.contains("upgrade: websocket") => {
                    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
                }
                () if head.contains("host: b.test") => b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno",
                () => b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes",
            };
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    })
}

fn open_socket(address: SocketAddr, host: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(
        socket,
        "GET /websocket HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut head = [0; 12];
    socket.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    socket
}

/// Asks these hosts, one after the other, until it is dropped.
struct Clients {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Clients {
    fn ask(address: SocketAddr, hosts: &'static [&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                hosts.iter().for_each(|host| drop(page(address, host).unwrap()));
                sleep(Duration::from_millis(5));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn edge(app: &Scripted) -> Edge {
    let own = |host: &str, more: &str| {
        format!("hosts: [{host}]\nwarm_seconds: 0\n{more}instances: {{i-1: {{address: '{}'}}}}\n", app.address)
    };
    let edge = Edge::running(&[
        ("apps/a.yaml", &own("a.test", "owner: acme\n")),
        ("apps/b.yaml", &own("b.test", "")),
        ("apps/down.yaml", "hosts: [down.test]\n"),
        ("apps/idle.yaml", &own("idle.test", "")),
        ("apps/sockets.yaml", &own("sockets.test", "")),
    ]);
    wait_until("all are served", || edge.apps().len() == 5);
    // Requests of before are no load of now.
    assert_eq!(edge.page("idle.test").status, 200);
    edge
}

const HOSTS: &[&str] = &["a.test", "a.test", "a.test", "down.test", "b.test", "down.test", "nobody.test"];

#[test]
fn the_apps_that_make_the_load_are_named_and_no_other() {
    let app = app();
    let edge = edge(&app);
    let http = edge.listens_on();
    let _sockets = [open_socket(http, "sockets.test"), open_socket(http, "sockets.test")];
    let _clients = Clients::ask(http, HOSTS);
    let top = |more: &[&str]| {
        let ran = edge.karman(&[&["top", "--once"], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    };
    let load = top(&["--json"]).json();
    let ids = |load: &Value| -> Vec<String> {
        load["busiest"].as_array().unwrap().iter().map(|app| app["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&load), ["a", "down", "b", "sockets"], "{load:#}");
    assert_eq!((&load["apps"], &load["busy"], &load["edge"]["name"]), (&json!(5), &json!(4), &json!("edge-1")));
    let [a, down, b, sockets] = [0, 1, 2, 3].map(|n| load["busiest"][n].clone());
    let rate = |of: &Value, name: &str| of["rates"][name].as_f64().unwrap();
    assert_eq!(a["owner"], "acme");
    // Three bodies of three bytes go out each time.
    let (often, out) = (rate(&a, "requests"), rate(&a, "bytes_out"));
    assert!(often > 0.0 && (out - often * 3.0).abs() < 0.01 * out, "{a:#}");
    assert_eq!((rate(&a, "failed"), rate(&a, "refused"), rate(&b, "refused")), (0.0, 0.0, 0.0));
    assert!((rate(&b, "failed") - rate(&b, "requests")).abs() < 1.0 && rate(&b, "failed") > 0.0, "{b:#}");
    assert!((rate(&down, "refused") - rate(&down, "requests")).abs() < 2.0 && rate(&down, "refused") > 0.0, "{down:#}");
    assert_eq!(rate(&down, "failed"), 0.0);
    assert_eq!(down["refused_by_code"]["app-down"], down["rates"]["refused"]);
    assert_eq!((&sockets["live"]["sockets"], rate(&sockets, "sockets")), (&json!(2), 0.0));
    assert!(load["nobody"]["requests"].as_f64().unwrap() > 0.0, "{load:#}");
    let sum: f64 = [&a, &down, &b].map(|app| rate(app, "requests")).iter().sum();
    assert!((load["total"]["requests"].as_f64().unwrap() - sum).abs() < 0.1, "{load:#}");

    assert_eq!(ids(&top(&["--json", "--by", "refused", "--rows", "2"]).json()), ["down", "b"]);
    assert_eq!(ids(&top(&["--json", "--by", "sockets", "--rows", "1"]).json()), ["sockets"]);
    let shown = top(&["--by", "refused"]).stdout;
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("edge-1 in here: ") && lines[0].contains(" 2 sockets"), "{shown}");
    assert!(lines[1].starts_with("4 of 5 apps are busy; by refused, over 2 s; ") && lines[1].ends_with("of no app"), "{shown}");
    assert!(lines[3].starts_with("APP ") && lines[4].starts_with("down ") && lines[4].contains("app-down "), "{shown}");
}

#[test]
fn new_sockets_are_load_when_they_are_opened() {
    let app = app();
    let edge = edge(&app);
    let http = edge.listens_on();
    let top = Program::start("top", Path::new(KARMAN), edge.dir(), ["top", "--json", "--by", "sockets"]);
    let mut sockets = Vec::new();
    let looks = || top.said().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
    wait_until("a look sees them come", || {
        sockets.push(open_socket(http, "sockets.test"));
        sleep(Duration::from_millis(100));
        let is_first = |look: &Value| look["busiest"][0]["id"] == "sockets" && look["total"]["sockets"].as_f64() > Some(1.0);
        looks().iter().any(is_first)
    });
}

#[test]
fn without_a_terminal_it_looks_a_few_times() {
    let edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let ran = edge.karman(&["top"]);
    assert_eq!((ran.code, ran.stdout.matches("0 of 1 apps are busy").count()), (0, 5), "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn on_a_terminal_it_goes_on_until_it_is_stopped_and_gives_the_screen_back() {
    let mut edge = Edge::running(&[("apps/a.yaml", "hosts: [a.test]\n")]);
    let command = format!("stty rows 12 cols 60; exec {KARMAN} top");
    let mut terminal = Program::start("terminal", Path::new("script"), edge.dir(), ["-qefc", &command, "typescript"]);
    terminal.wait_for("0 of 1 apps are busy");
    let said = terminal.said();
    assert!(said.contains("\u{1b}[?1049h\u{1b}[?25l") && !said.contains("\u{1b}[?1049l"), "{said:?}");
    let lines = said.split("\u{1b}[H").last().unwrap().lines().map(|line| line.replace("\u{1b}[K", ""));
    assert!(lines.into_iter().all(|line| line.trim_end().chars().count() <= 60), "{said:?}");
    edge.kill_proxy();
    terminal.wait_for("looking again");
    edge.start_proxy();
    let looks = terminal.said().matches("apps are busy").count();
    wait_until("it sees the new one", || terminal.said().matches("apps are busy").count() > looks);

    let top = children(terminal.pid());
    assert_eq!(top.len(), 1);
    signal(top[0], rustix::process::Signal::INT);
    assert_eq!(terminal.ended(), 0, "{:?}", terminal.said());
    assert!(terminal.said().contains("\u{1b}[?25h\u{1b}[?1049l"), "{:?}", terminal.said());
}

#[test]
fn an_older_proxy_is_named_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let _calls = listen(&dir.path().join("run/admin.sock"), |call| match call.what.as_str() {
        "GET /v1/status" => status(json!({})),
        call => (404, json!({"error": "not-found", "what": format!("call '{}'", call.replace("GET ", ""))})),
    });
    for more in ["--once", "--json"] {
        let ran = karman(dir.path(), &["top", more]);
        assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{ran:?}");
        assert!(ran.stderr.contains("the proxy of lone (karman-proxy 0.1.0) is older than 'karman top'"), "{ran:?}");
    }
}

#[test]
fn what_cannot_be_asked_is_refused_by_both_sides() {
    let edge = Edge::running(&[]);
    let ran = edge.karman(&["top", "--by", "colour"]);
    assert!(ran.code == 64 && ran.stderr.contains("requests, sockets, in-flight, refused"), "{ran:?}");
    let (status, answer) = edge.call("GET", "/v1/load?by=colour", "");
    assert_eq!((status, &answer["reasons"][0]["at"]), (422, &json!("by")), "{answer}");
    let (status, answer) = edge.call("GET", "/v1/load?limit=ten&seconds=-1", "");
    let wanted = json!([
        {"at": "limit", "why": "found 'ten', wanted a whole number"},
        {"at": "seconds", "why": "found '-1', wanted a whole number"},
    ]);
    assert_eq!((status, &answer["reasons"]), (422, &wanted), "{answer}");
    assert_eq!(edge.call("PUT", "/v1/load", "{}").0, 405);
    let (status, answer) = edge.call("GET", "/v1/load?limit=0&seconds=0", "");
    assert_eq!((status, &answer["busiest"]), (200, &json!([])), "{answer}");
}

//! The real clients, through the proxy, over two instances: npm's SockJS, DDP and WebSocket clients, and Chromium.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::authority::Authority;
use crate::rig::{App, Edge, HOST, Node, instances_json};

/// The longest that one client may take; a page that comes back by itself waits up to 40 s.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(150);

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Where screenshots are kept, for people to look at.
fn screenshots() -> PathBuf {
    let out = Path::new(env!("CARGO_BIN_EXE_karman-proxy")).with_file_name("screenshots");
    std::fs::create_dir_all(&out).unwrap();
    out
}

/// A client that runs.
struct Client {
    what: String,
    process: tokio::process::Child,
    input: ChildStdin,
    output: tokio::io::Lines<BufReader<ChildStdout>>,
    seen: Vec<Value>,
}

impl Client {
    fn start(edge: &Edge, script: &str, before: &[&str], after: &[&str]) -> Self {
        Self::start_at(&format!("http://{}", edge.http), script, before, after)
    }

    fn start_at(url: &str, script: &str, before: &[&str], after: &[&str]) -> Self {
        assert!(
            clients().join("node_modules").exists(),
            "the Node packages are missing: 'make test' installs them, or proxy/tests/install-test-tools.sh"
        );
        let mut process = Command::new("node")
            .current_dir(clients())
            .arg(script)
            .args(before)
            .arg(url)
            .args(after)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { what: format!("{script} {before:?} {after:?}"), process, input, output, seen: Vec::new() }
    }

    /// Waits for its next observation.
    async fn sees(&mut self) -> Value {
        let line = tokio::time::timeout(CLIENT_TIMEOUT, self.output.next_line()).await.expect("the client says something");
        let Some(line) = line.unwrap() else {
            let complaint = self.complaint().await;
            panic!("{} ended early: {complaint}", self.what)
        };
        let seen: Value = serde_json::from_str(&line).unwrap();
        self.seen.push(seen.clone());
        seen
    }

    /// Waits until it has ended well; returns all that it saw.
    async fn holds(mut self) -> Vec<Value> {
        let reading = async {
            while let Some(line) = self.output.next_line().await.unwrap() {
                self.seen.push(serde_json::from_str(&line).unwrap());
            }
        };
        tokio::time::timeout(CLIENT_TIMEOUT, reading).await.unwrap_or_else(|_| panic!("{} did not end", self.what));
        let status = self.process.wait().await.unwrap();
        let complaint = self.complaint().await;
        assert!(status.success(), "{}: {complaint}\nit saw {:#?}", self.what, self.seen);
        self.seen
    }

    async fn complaint(&mut self) -> String {
        let mut text = String::new();
        if let Some(errors) = self.process.stderr.as_mut() {
            let _ = tokio::io::AsyncReadExt::read_to_string(errors, &mut text).await;
        }
        text
    }
}

async fn two_samples() -> (Edge, App, App) {
    let edge = Edge::start_with("show_instance: true").await;
    let data = edge.dir.path().join("todos");
    let (a, b) = (App::start_sharing("a", &data), App::start_sharing("b", &data));
    edge.put_todos(&[("a", a.address), ("b", b.address)]).await;
    (edge, a, b)
}

async fn two_sockjs_servers() -> (Edge, Node, Node) {
    let edge = Edge::start_with("show_instance: true").await;
    let backend = |name: &str| Node::start(&clients(), &["sockjs-backend.mjs", "--instance", name]);
    let (a, b) = (backend("a"), backend("b"));
    edge.put_todos(&[("a", a.address), ("b", b.address)]).await;
    (edge, a, b)
}

#[tokio::test]
async fn sockjs_client_works_on_both_transports_with_and_without_cookies() {
    let (edge, _a, _b) = two_samples().await;
    for transport in ["websocket", "xhr-polling"] {
        for cookies in ["yes", "no"] {
            let client = Client::start(
                &edge,
                "sockjs.mjs",
                &[],
                &["--host", HOST, "--transport", transport, "--cookies", cookies, "--sessions", "20"],
            );
            let seen = client.holds().await;
            let instances = seen.last().unwrap()["instances"].as_array().unwrap().len();
            match cookies {
                "yes" => assert_eq!(instances, 1, "{seen:?}"),
                _ => assert_eq!(instances, 2, "clients without cookies spread over both: {seen:?}"),
            }
        }
    }
}

#[tokio::test]
async fn the_sockjs_server_that_meteor_pins_works_behind_the_edge() {
    let (edge, _a, _b) = two_sockjs_servers().await;
    for transport in ["websocket", "xhr-polling"] {
        for cookies in ["yes", "no"] {
            let options = ["--host", HOST, "--speak", "echo", "--transport", transport, "--cookies", cookies, "--sessions", "20"];
            Client::start(&edge, "sockjs.mjs", &[], &options).holds().await;
        }
    }
    Client::start(&edge, "ws.mjs", &[], &["--host", HOST, "--speak", "echo"]).holds().await;
}

#[tokio::test]
async fn a_ddp_client_hears_what_another_one_changes() {
    let (edge, _a, _b) = two_samples().await;
    Client::start(&edge, "ddp.mjs", &[], &["--host", HOST]).holds().await;
}

#[tokio::test]
async fn a_plain_websocket_pings_carries_large_messages_and_closes_cleanly() {
    let (edge, _a, _b) = two_samples().await;
    Client::start(&edge, "ws.mjs", &[], &["--host", HOST]).holds().await;
}

#[tokio::test]
async fn a_browser_keeps_its_cookie_on_both_transports() {
    let (edge, _a, _b) = two_samples().await;
    let out = screenshots();
    Client::start_at(&url(&edge), "browser.mjs", &["cookie"], &[out.to_str().unwrap(), "--cookie", "karman"]).holds().await;
}

#[tokio::test]
async fn two_tabs_of_a_browser_see_each_others_changes() {
    let (edge, _a, _b) = two_samples().await;
    let out = screenshots();
    Client::start_at(&url(&edge), "browser.mjs", &["two-tabs"], &[out.to_str().unwrap(), "--visitors", "2"]).holds().await;
}

#[tokio::test]
async fn a_browser_comes_by_http2_and_stays_within_tls() {
    let (edge, _a, _b) = two_samples().await;
    let (certificate, pin) = Authority::new().issue_pinned(&[BROWSER_HOST]);
    assert_eq!(edge.put_certificates(&[("c", certificate)]).await.status, 200);
    let out = screenshots();
    // By HTTP first, as whoever types a name: it is sent on.
    let seen = Client::start_at(&url(&edge), "browser.mjs", &["https"], &[out.to_str().unwrap(), "--spki", &pin]).holds().await;
    assert_eq!(seen.last().unwrap()["protocol"], "h2");
}

/// Chromium finds `*.localhost` by itself, so the app is put under such a name.
const BROWSER_HOST: &str = "todos.localhost";

fn url(edge: &Edge) -> String {
    format!("http://{BROWSER_HOST}:{}", edge.http.port())
}

/// Looks at a page: 1200 px and 320 px wide, light and dark, with and without script.
async fn look(url: &str, name: &str, status: u16, code: &str, headline: &str, more: &[&str]) {
    let out = screenshots();
    let status = status.to_string();
    let options =
        [&[out.to_str().unwrap(), "--name", name, "--status", &status, "--error", code, "--headline", headline][..], more]
            .concat();
    let seen = Client::start_at(url, "browser.mjs", &["page"], &options).holds().await;
    assert!(seen.len() >= 5, "{seen:?}");
    for picture in [format!("{name}-320-dark.png"), format!("{name}-1200-light.png")] {
        assert!(out.join(&picture).exists(), "{picture} is kept");
    }
}

#[tokio::test]
async fn a_browser_sees_what_is_the_matter_with_an_app() {
    let (edge, a) = (Edge::start().await, App::start("a"));
    edge.put_app("{}", "").await;
    look(&url(&edge), "app-down", 503, "app-down", "todos isn't answering right now", &[]).await;
    edge.put_app(&instances_json(&[("a", a.address)]), r#","state":"maintenance""#).await;
    look(&url(&edge), "app-maintenance", 503, "app-maintenance", "todos is closed for maintenance", &[]).await;
    let nobody = format!("http://nobody.localhost:{}", edge.http.port());
    look(&nobody, "unknown-host", 404, "unknown-host", "There is no app at this address", &[]).await;

    let page = "<!doctype html><html lang=en><meta name=viewport content='width=device-width'><link rel=icon href=data:,><title>Back soon</title>\
                <h1>Our own page for {{app}}</h1><p>{{code}} since {{since}}, request {{request_id}}</p>";
    let hash = karman_contract::name::ContentHash::of(page.as_bytes());
    let pages = serde_json::json!({"generation": 1, "pages": {hash.to_string(): page}});
    assert_eq!(edge.admin("PUT", "/v1/pages", &pages.to_string()).await.status, 200);
    edge.put_app("{}", &format!(r#","pages":{{"app-down":"{hash}"}}"#)).await;
    look(&url(&edge), "own-page", 503, "app-down", "Our own page for todos", &["--one-look"]).await;
}

#[tokio::test]
async fn a_browser_comes_back_by_itself_when_the_app_does() {
    let (edge, mut a) = (Edge::start().await, App::start("a"));
    edge.put_todos(&[("a", a.address)]).await;
    a.kill();
    let out = screenshots();
    let mut client = Client::start_at(&url(&edge), "browser.mjs", &["comes-back"], &[out.to_str().unwrap()]);
    assert_eq!(client.sees().await["seen"], "app-down");
    a.start_again();
    client.input.write_all(b"up\n").await.unwrap();
    client.holds().await;
}

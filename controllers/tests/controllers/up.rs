//! `karman up`: one machine, from an empty folder to a page and back.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::curl::{fetch, fetch_once_certified};
use crate::edge::page;
use crate::program::{KARMAN, Program, karman, lives, signal, wait_until};

struct Up {
    program: Program,
    dir: tempfile::TempDir,
}

impl Up {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = Self::start_in(dir.path());
        let mut up = Self { program, dir };
        up.program.wait_for("Ctrl-C stops all of it.");
        up
    }

    fn start_in(dir: &Path) -> Program {
        Program::start("up", Path::new(KARMAN), dir, ["up", "--listen", "127.0.0.1:0"])
    }

    fn status(&self) -> Value {
        karman(self.dir.path(), &["status", "--json"]).json()
    }

    fn address(&self) -> SocketAddr {
        self.bound("http")
    }

    fn bound(&self, protocol: &str) -> SocketAddr {
        self.status()["proxy"]["bound"][protocol][0].as_str().unwrap().parse().unwrap()
    }

    /// The pid after a name in what `karman up` said.
    fn pid(&self, name: &str) -> u32 {
        let said = self.program.said();
        let line = said.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")) && line.contains("pid")).unwrap();
        line.split_whitespace().skip_while(|word| *word != "pid").nth(1).unwrap().parse().unwrap()
    }

    fn pids(&self) -> [u32; 4] {
        ["proxy", "publisher", "todos-1-a", "todos-1-b"].map(|name| self.pid(name))
    }

    fn instances(&self) -> usize {
        let app = karman(self.dir.path(), &["app", "todos", "--json"]);
        app.json()["app"]["instances"].as_object().map_or(0, serde_json::Map::len)
    }
}

#[test]
fn it_serves_a_page_and_ctrl_c_leaves_nothing_behind() {
    let mut up = Up::start();
    let address = up.address();
    let first = page(address, "todos.localhost").unwrap();
    assert_eq!(first.status, 200, "{}", first.text);
    assert!(first.text.to_lowercase().contains("todo"));
    assert_eq!(up.status()["proxy"]["edge"]["name"], "this-machine");
    let said = up.program.said();
    for words in
        [format!("http://todos.localhost:{}", address.port()), "edit data/apps/todos.yaml".to_owned(), "kill -9 ".to_owned()]
    {
        assert!(said.contains(&words), "'{words}' in {said}");
    }

    let pids = up.pids();
    assert!(pids.iter().all(|pid| lives(*pid)));
    assert_eq!(up.program.interrupt(), 0, "{}", up.program.said());
    let left: Vec<_> = pids.into_iter().filter(|pid| lives(*pid)).collect();
    assert_eq!(left, [0; 0], "children are left");
    assert!(page(address, "todos.localhost").is_err());
}

#[test]
fn it_makes_keys_and_certificates_of_its_own_without_a_network() {
    let mut up = Up::start();
    let dir = up.dir.path().to_owned();
    let list = || karman(&dir, &["certificates", "list", "--json"]);
    wait_until("the sample app has a certificate", || {
        let ran = list();
        ran.code == 0 && ran.json()[0]["certificate"]["ca"] == "local"
    });
    let root = karman(&dir, &["certificates", "root"]);
    assert!(root.stdout.starts_with("-----BEGIN CERTIFICATE-----"), "{root:?}");
    let why = karman(&dir, &["certificates", "why", "todos.localhost"]).stdout;
    assert!(why.contains("todos.localhost is certified until") && why.contains("it is renewed in"), "{why}");
    wait_until("there are keys", || {
        let keys = karman(&dir, &["keys", "show", "--json"]).json();
        keys["cookie"].is_object() && keys["ticket"].is_object()
    });
    assert_eq!(up.program.interrupt(), 0, "{}", up.program.said());
}

#[test]
fn curl_and_openssl_reach_the_sample_app_by_https_and_its_own_ca() {
    let mut up = Up::start();
    let https = up.bound("https");
    let said = up.program.said();
    for words in [
        format!("https://todos.localhost:{}  by the CA of this store", https.port()),
        format!("certificates root) https://todos.localhost:{}/", https.port()),
    ] {
        assert!(said.contains(&words), "'{words}' in {said}");
    }
    let root = up.dir.path().join("root.pem");
    wait_until("there is a root", || karman(up.dir.path(), &["certificates", "root"]).code == 0);
    std::fs::write(&root, karman(up.dir.path(), &["certificates", "root"]).stdout).unwrap();

    let url = format!("https://todos.localhost:{}/", https.port());
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let fetched = fetch_once_certified(&url, https.ip(), &root, &[option]);
        assert_eq!((fetched.status, fetched.version.as_str()), (200, version), "{fetched:?}");
        assert!(fetched.body.to_lowercase().contains("todo"), "{}", fetched.body);
    }
    let stranger = fetch(&url, https.ip(), None, &[]);
    assert_eq!(stranger.exit, 60, "who was not told of the CA does not trust it: {}", stranger.said);
    assert_eq!(page(up.address(), "todos.localhost").unwrap().status, 200, "HTTP stays open");

    let openssl = std::process::Command::new("openssl")
        .args(["s_client", "-connect", &https.to_string(), "-servername", "todos.localhost", "-alpn", "h2"])
        .args(["-verify_hostname", "todos.localhost", "-verify_return_error", "-CAfile"])
        .arg(&root)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&openssl.stdout).into_owned();
    assert!(told.contains("Verify return code: 0 (ok)") && told.contains("ALPN protocol: h2"), "{openssl:?}");

    // An app that comes later is certified as it comes.
    std::fs::write(up.dir.path().join("data/apps/mine.yaml"), "hosts: [mine.localhost]\ninstances: {}\n").unwrap();
    let mine = fetch_once_certified(&format!("https://mine.localhost:{}/", https.port()), https.ip(), &root, &[]);
    assert_eq!(mine.status, 503, "{mine:?}");
    assert_eq!(up.program.interrupt(), 0, "{}", up.program.said());
}

#[test]
fn an_edited_file_is_live_and_a_mistake_is_shown_in_the_terminal() {
    let mut up = Up::start();
    let file = up.dir.path().join("data/apps/todos.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("state: running", "state: runing ")).unwrap();
    up.program.wait_for("found 'runing', wanted one of running");
    assert_eq!(page(up.address(), "todos.localhost").unwrap().status, 200);
    std::fs::write(&file, text.replace("state: running", "state: maintenance")).unwrap();
    wait_until("the app is closed", || page(up.address(), "todos.localhost").unwrap().status == 503);
    std::fs::write(&file, &text).unwrap();
    wait_until("the app is open", || page(up.address(), "todos.localhost").unwrap().status == 200);
}

#[test]
fn what_dies_is_started_again_and_the_other_instance_serves_meanwhile() {
    let mut up = Up::start();
    let address = up.address();
    // It says that it serves when one of them does.
    wait_until("both are there", || up.instances() == 2);
    let [proxy, publisher, one, other] = up.pids();
    signal(one, Signal::KILL);
    up.program.wait_for(&format!("todos-1-a (pid {one}) ended: signal 9; started again in 5.0 s"));
    assert_eq!(page(address, "todos.localhost").unwrap().status, 200);
    signal(other, Signal::KILL);
    wait_until("the app is down", || page(address, "todos.localhost").unwrap().status == 503);
    up.program.wait_for("todos-1-a runs again");
    wait_until("the app is up", || page(address, "todos.localhost").unwrap().status == 200);
    wait_until("both are back", || up.instances() == 2);

    signal(publisher, Signal::KILL);
    up.program.wait_for("publisher runs again");
    signal(proxy, Signal::KILL);
    up.program.wait_for("proxy runs again");
    wait_until("the proxy serves again", || {
        let status = karman(up.dir.path(), &["status", "--json"]);
        status.code == 0 && page(up.address(), "todos.localhost").is_ok_and(|page| page.status == 200)
    });
    assert_eq!(up.program.interrupt(), 0);
}

#[test]
fn a_kill_takes_the_children_along_and_the_next_start_finds_the_place_free() {
    let mut up = Up::start();
    let pids = up.pids();
    up.program.kill();
    wait_until("the children have ended", || !pids.iter().any(|pid| lives(*pid)));
    std::fs::write(up.dir.path().join("data/apps/mine.yaml"), "hosts: [mine.localhost]\ninstances: {}\n").unwrap();
    up.program = Up::start_in(up.dir.path());
    up.program.wait_for("Ctrl-C stops all of it.");
    assert_eq!(page(up.address(), "mine.localhost").unwrap().status, 503, "what a person wrote is still there");
    assert_eq!(up.program.interrupt(), 0);
}

#[test]
fn a_second_one_and_a_port_that_is_taken_are_refused_clearly() {
    let up = Up::start();
    let second = karman(up.dir.path(), &["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 75, "{second:?}");
    assert!(second.stderr.contains(&format!("karman up (pid {} on ", up.program.pid())), "{second:?}");
    assert!(second.stderr.contains(") runs in data already"), "{second:?}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let refused = karman(up.dir.path(), &["up", "--dir", "other", "--listen", &listen]);
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.stderr.contains(&format!("{listen} is in use by another program; choose another: --listen ")), "{refused:?}");

    // The address that was chosen first stands in edge.yaml now, and the option goes before it.
    let mut other =
        Program::start("other", Path::new(KARMAN), up.dir.path(), ["up", "--dir", "other", "--listen", "127.0.0.1:0"]);
    other.wait_for("Ctrl-C stops all of it.");
    assert_eq!(other.interrupt(), 0);
    std::fs::write(
        up.dir.path().join("other/edge.yaml"),
        "listen: {http: ['127.0.0.1:0']}\nadmin: {socket: run/admin.sock}\ncolour: red\n",
    )
    .unwrap();
    let mistaken = karman(up.dir.path(), &["up", "--dir", "other"]);
    assert_eq!(mistaken.code, 64, "{mistaken:?}");
    assert!(mistaken.stderr.contains("edge.yaml:3:1: colour: there is no such field"), "{mistaken:?}");
}

#[test]
fn a_missing_program_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let alone = dir.path().join("karman");
    std::fs::copy(KARMAN, &alone).unwrap();
    let ran = std::process::Command::new(&alone).arg("up").current_dir(dir.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(69), "{stderr}");
    assert!(stderr.contains("karman-proxy is missing") && stderr.contains("'make up' builds"), "{stderr}");
    assert!(!dir.path().join("data").exists());
}

#[test]
fn a_store_whose_sample_was_removed_is_served_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("data/apps")).unwrap();
    std::fs::write(dir.path().join("data/apps/mine.yaml"), "hosts: [mine.localhost]\ninstances: {}\n").unwrap();
    let mut up = Up { program: Up::start_in(dir.path()), dir };
    up.program.wait_for("Ctrl-C stops all of it.");
    assert!(!up.program.said().contains("todos"), "{}", up.program.said());
    wait_until("the app is known", || page(up.address(), "mine.localhost").unwrap().status == 503);
    assert_eq!(up.program.interrupt(), 0);
}

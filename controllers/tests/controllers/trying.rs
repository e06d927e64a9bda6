//! `karman try`: the proxy before an app that already runs.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use rustix::process::Signal;

use crate::edge::{backend, page};
use crate::program::{KARMAN, Program, children, karman, sibling, signal, wait_until};

#[test]
fn it_serves_an_app_that_runs_already_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (backend("the app"), backend("the app"));
    let temporary = dir.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let arguments = [
        "TMPDIR=tmp",
        KARMAN,
        "try",
        &format!("localhost:{}", one.port()),
        &other.to_string(),
        "--listen",
        "127.0.0.1:0",
        "--host",
        "mine.test",
    ];
    let mut program = Program::start("try", Path::new("/usr/bin/env"), dir.path(), arguments);
    program.wait_for("nothing stays behind");
    let said = program.said();
    let port = said.split_once("http://try.localhost:").unwrap().1.split_whitespace().next().unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    for host in ["try.localhost", "localhost", "127.0.0.1", "mine.test"] {
        let page = page(address, host).unwrap();
        assert!(page.status == 200 && page.text.ends_with("the app"), "{host}: {}", page.text);
    }
    assert_eq!(page(address, "other.test").unwrap().status, 404);
    assert_eq!(program.interrupt(), 0, "{}", program.said());
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "the folder is removed");
}

#[test]
fn it_says_which_address_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    // Bound and given up: nobody listens there now.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let none = karman(dir.path(), &["try", &silent, "--listen", "127.0.0.1:0"]);
    assert_eq!(none.code, 69, "{none:?}");
    assert!(none.stderr.contains(&format!("{silent} does not answer: ")), "{none:?}");

    let one = backend("the app").to_string();
    let mut program = Program::start("try", Path::new(KARMAN), dir.path(), ["try", &one, &silent, "--listen", "127.0.0.1:0"]);
    program.wait_for("nothing stays behind");
    assert!(program.said().contains(&format!("{silent} does not answer")), "{}", program.said());
    assert_eq!(program.interrupt(), 0);
}

#[test]
fn it_starts_its_programs_again_after_an_upgrade_has_replaced_them() {
    let dir = tempfile::tempdir_in(Path::new(KARMAN).parent().unwrap()).unwrap();
    let own = dir.path().join("karman");
    let install = || fs::hard_link(KARMAN, &own).unwrap();
    install();
    fs::hard_link(sibling("karman-proxy"), dir.path().join("karman-proxy")).unwrap();
    let app = backend("the app").to_string();
    let mut program = Program::start("try", &own, dir.path(), ["try", &app, "--listen", "127.0.0.1:0"]);
    program.wait_for("nothing stays behind");
    let before = children(program.pid());
    fs::remove_file(&own).unwrap();
    install();
    before.iter().for_each(|child| signal(*child, Signal::KILL));
    wait_until("all of them run again", || {
        let now = children(program.pid());
        now.len() == before.len() && now.iter().all(|child| !before.contains(child))
    });
    program.wait_for("proxy runs again");
    program.wait_for("publisher runs again");
    assert_eq!(program.interrupt(), 0, "{}", program.said());
}

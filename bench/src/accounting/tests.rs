//! What a real process and its child cost.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;

/// A shell, and a child of it that does this.
fn shell(child: &str) -> Child {
    let script = format!("({child}) & wait; read never");
    Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_childs_time_and_memory_count() {
    let mut shell = shell("while :; do :; done");
    let root = [shell.id()];
    until("a child that works", || cpu_time(&root).unwrap() > Duration::from_millis(100));
    assert_eq!(with_children(&root).len(), 2);
    let own = proportional_set_size(root[0]).unwrap();
    assert!(memory(&root).unwrap() > own);
    until("ticks of it", || cpu_split(&root).unwrap().user > Duration::from_millis(50));
    // The shell stays while its child is gone.
    let child = with_children(&root)[1];
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(child.try_into().unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    until("the child's end", || with_children(&root).len() == 1);
    assert!(memory(&root).is_ok() && cpu_time(&root).is_ok() && cpu_split(&root).is_ok());
    shell.kill().unwrap();
    shell.wait().unwrap();
}

#[test]
fn a_worker_that_ended_costs_nothing_more_and_a_proxy_that_ended_is_an_error() {
    let mut ended = shell("true");
    ended.kill().unwrap();
    ended.wait().unwrap();
    let (gone, here) = (ended.id(), std::process::id());
    let of = |pid| memory_of(pid, &[here]);
    assert_eq!(of(gone).unwrap(), 0);
    assert!(of(here).unwrap() > 0);
    assert!(memory(&[gone]).is_err() && cpu_time(&[gone]).is_err() && cpu_split(&[gone]).is_err());
}

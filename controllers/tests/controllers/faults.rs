//! What can die, stop, fill up or lie: the edge serves on, and comes back to what the store says.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use karman::store::etcd::lease::TTL;
use karman::store::{Author, Expect, Key, Kind, Lease, Leased, Place, Store, StoreError, Transaction};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::edge::{Edge, backend};
use crate::etcd::Etcd;
use crate::program::{KARMAN, PATIENCE, Program, signal, wait_until};

fn app(host: &str, warm_seconds: u32, address: std::net::SocketAddr) -> String {
    format!("hosts: [{host}]\nwarm_seconds: {warm_seconds}\ninstances:\n  a-1: {{address: \"{address}\"}}\n")
}

/// An edge whose store is in etcd.
struct Rig {
    etcd: Etcd,
    edge: Edge,
}

impl Rig {
    fn with(members: usize) -> Self {
        let etcd = Etcd::cluster(members);
        let mut edge = Edge::with(&[]);
        edge.start_proxy();
        edge.start_publisher_on(&etcd.url());
        let rig = Self { etcd, edge };
        rig.put("a", 1);
        rig.edge.wait_for_app("a", "/warm_seconds", 1);
        rig
    }

    /// Changes an app as an operator would, who tries again while nobody answers.
    fn put(&self, id: &str, warm_seconds: u32) {
        let file = format!("{id}.yaml");
        fs::write(self.edge.dir().join(&file), app(&format!("{id}.test"), warm_seconds, self.backend())).unwrap();
        let mut last = None;
        wait_until(&format!("{id} is written: {last:?}"), || {
            let ran = self.edge.karman(&["apps", "put", "-f", &file, "--store", &self.etcd.url()]);
            let done = ran.code == 0;
            last = Some(ran);
            done
        });
    }

    fn backend(&self) -> std::net::SocketAddr {
        static BACKEND: std::sync::OnceLock<std::net::SocketAddr> = std::sync::OnceLock::new();
        *BACKEND.get_or_init(|| backend("hello"))
    }

    fn assert_served(&self) {
        let page = self.edge.page("a.test");
        assert!(page.status == 200 && page.text.ends_with("hello"), "{page:?}");
    }
}

#[test]
fn an_etcd_that_is_killed_and_comes_back_is_followed_again() {
    let mut rig = Rig::with(1);
    rig.etcd.kill_member(0);
    rig.edge.publisher().wait_for("the store does not answer");
    rig.assert_served();
    rig.etcd.start_member(0);
    rig.etcd.wait_until_well();
    rig.put("a", 2);
    rig.edge.wait_for_app("a", "/warm_seconds", 2);
}

#[test]
fn an_edge_whose_etcd_is_gone_for_good_serves_on_and_starts_from_its_disk() {
    let mut rig = Rig::with(1);
    let stamp = rig.edge.stamp("apps");
    rig.etcd.kill_member(0);
    rig.edge.kill_proxy();
    rig.edge.start_proxy();
    wait_until("it serves from its disk", || rig.edge.try_get("/v1/status").is_some() && rig.edge.page("a.test").status == 200);
    assert_eq!(rig.edge.stamp("apps"), stamp);
    // A publisher that starts meanwhile waits, and spoils nothing.
    let url = rig.etcd.url();
    rig.edge.kill_publisher();
    let once = rig.edge.karman(&["publish", "--once", "--store", &url]);
    assert_eq!(once.code, 69, "{once:?}");
    rig.assert_served();
}

#[test]
fn an_etcd_that_lost_its_data_empties_no_edge() {
    let mut rig = Rig::with(1);
    rig.etcd.kill_member(0);
    rig.etcd.forget_data(0);
    rig.etcd.start_member(0);
    rig.etcd.wait_until_well();
    // One app is far from a mass removal: it is kept because the store is another one.
    rig.edge.publisher().wait_for("1 of 1 apps are gone from the store");
    rig.assert_served();
    let accepted = rig.edge.karman(&["publish", "--once", "--accept", "--store", &rig.etcd.url()]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert_eq!(rig.edge.page("a.test").status, 404);
}

#[test]
fn an_etcd_restored_to_an_older_revision_wins_only_when_somebody_says_so() {
    let mut rig = Rig::with(1);
    rig.etcd.kill_member(0);
    rig.etcd.keep_data(0);
    rig.etcd.start_member(0);
    rig.etcd.wait_until_well();
    (2..6).for_each(|n| rig.put("a", n));
    rig.edge.wait_for_app("a", "/warm_seconds", 5);
    rig.etcd.kill_member(0);
    rig.etcd.put_back_data(0);
    rig.etcd.start_member(0);
    rig.etcd.wait_until_well();
    rig.edge.publisher().wait_for("is live");
    // What the publisher has seen of the newer store, it undoes only as changes of the older one come.
    let url = rig.etcd.url();
    rig.edge.kill_publisher();
    rig.edge.start_publisher_on(&url);
    rig.edge.publisher().wait_for("this one was restored");
    assert_eq!(rig.edge.app("a", "/warm_seconds"), 5);
    let accepted = rig.edge.karman(&["publish", "--accept", "--store", &url]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    rig.edge.wait_for_app("a", "/warm_seconds", 1);
}

#[test]
fn three_members_lose_one_and_then_their_leader_and_changes_go_on() {
    let mut rig = Rig::with(3);
    let follower = (0..3).find(|n| *n != rig.etcd.leader()).unwrap();
    rig.etcd.kill_member(follower);
    rig.put("a", 2);
    rig.edge.wait_for_app("a", "/warm_seconds", 2);
    rig.etcd.start_member(follower);
    rig.etcd.wait_until_well();
    rig.etcd.kill_member(rig.etcd.leader());
    rig.put("a", 3);
    rig.edge.wait_for_app("a", "/warm_seconds", 3);
    rig.assert_served();
}

#[tokio::test]
async fn a_leader_that_was_stopped_changes_nothing_when_it_wakes_up() {
    let etcd = Etcd::start();
    let place: Place = etcd.url().parse().unwrap();
    let (one, other) = (place.open().await.unwrap(), place.open().await.unwrap());
    let lease = until_ours(one.as_ref()).await;
    let write = |text: &str| Transaction::new(Author::controller("test")).put(key(), Expect::Anything, text);
    one.commit(&write("one").under(&lease)).await.unwrap();

    // etcd stands still while both want the lease, for longer than it lasts.
    signal(etcd.pid(0), Signal::STOP);
    let (lost, _) = tokio::join!(timeout(PATIENCE, lease.lost()), async {
        assert!(matches!(other.lease("test").await, Err(StoreError::Unreachable(_))));
    });
    lost.expect("a leader knows that it is none any more, although nobody tells it");
    signal(etcd.pid(0), Signal::CONT);

    let theirs = until_ours(other.as_ref()).await;
    other.commit(&write("other").under(&theirs)).await.unwrap();
    assert_eq!(one.commit(&write("late").under(&lease)).await, Err(StoreError::LeaseLost("test".to_owned())));
    assert_eq!(one.look(&key()).await.unwrap().text().unwrap().text, "other");
    assert!(matches!(one.lease("test").await.unwrap(), Leased::Theirs(_)), "there is one leader");
}

fn key() -> Key {
    Key::parse("orders/a").unwrap()
}

async fn until_ours(store: &dyn Store) -> Lease {
    let asking = async {
        loop {
            if let Ok(Leased::Ours(lease)) = store.lease("test").await {
                return lease;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE * 2, asking).await.expect("somebody leads")
}

#[test]
fn an_app_that_only_its_proxy_refuses_holds_back_nobody_until_it_can_be_taken() {
    let address = backend("hello");
    let mut edge = Edge::with(&[]);
    for n in 0..12 {
        edge.write(&format!("apps/a{n}.yaml"), &app(&format!("a{n}.test"), 1, address));
    }
    edge.start_proxy();
    edge.start_publisher();
    wait_until("all are live", || edge.apps().len() == 12);
    // The proxy keeps nine that are gone at once, and so their hosts: of that the store knows nothing.
    signal(edge.publisher().pid(), Signal::STOP);
    (0..9).for_each(|n| edge.remove(&format!("apps/a{n}.yaml")));
    signal(edge.publisher().pid(), Signal::CONT);
    edge.publisher().wait_for("9 of 12 apps are gone from the store");
    edge.write("apps/heir.yaml", &app("a0.test", 1, address));
    edge.publisher().wait_for("the proxy keeps what it has of heir");
    edge.write("apps/a9.yaml", &app("a9.test", 2, address));
    edge.wait_for_app("a9", "/warm_seconds", 2);
    assert_eq!(edge.page("a0.test").status, 200);
    let why = "the host 'a0.test' belongs to the app 'a0'";
    wait_until("the store says why", || edge.report()["refused"]["heir"][0]["why"] == why);
    assert_eq!(edge.report()["up_to_date"], true, "all else is live");
    let status = edge.karman(&["status"]);
    assert!(status.stdout.contains("the proxy keeps what it has of heir") && status.stdout.contains(why), "{status:?}");

    assert_eq!(edge.karman(&["publish", "--accept"]).code, 0);
    wait_until("it has the host", || edge.apps() == ["a10", "a11", "a9", "heir"]);
    wait_until("and nothing is refused", || edge.report()["refused"] == json!({}));
}

#[test]
fn a_publisher_that_was_stopped_catches_up_with_a_hundred_changes_and_a_new_proxy() {
    let address = backend("hello");
    let mut edge = Edge::running(&[("apps/a.yaml", &app("a.test", 1, address))]);
    let publisher = edge.publisher().pid();
    signal(publisher, Signal::STOP);
    for n in 0..100 {
        edge.write(&format!("apps/b{n}.yaml"), &app(&format!("b{n}.test"), 1, address));
    }
    edge.kill_proxy();
    edge.start_proxy();
    assert_eq!(edge.page("a.test").status, 200);
    signal(publisher, Signal::CONT);
    wait_until("all changes are live", || edge.page("b99.test").status == 200);
    assert_eq!(edge.apps().len(), 101);
}

#[test]
fn every_controller_killed_costs_no_request() {
    let address = backend("hello");
    let mut edge = Edge::running(&[("apps/a.yaml", &app("a.test", 1, address))]);
    edge.kill_publisher();
    assert_eq!(edge.page("a.test").status, 200);
    edge.kill_proxy();
    edge.start_proxy();
    assert_eq!(edge.page("a.test").status, 200, "from its disk");
}

#[test]
fn a_disk_that_is_full_costs_the_saving_and_not_the_change() {
    let mut edge = Edge::with(&[]);
    edge.start_proxy_with_small_disk();
    edge.start_publisher();
    edge.write("apps/a.yaml", "hosts: [a.test]\nwarm_seconds: 1\n");
    edge.wait_for_app("a", "/warm_seconds", 1);
    wait_until("it is saved", || edge.try_get("/v1/status").unwrap()["documents"]["apps"]["saved_at"].is_string());
    let many: Vec<_> = (0..64).map(|n| format!("host-{n}-with-a-rather-long-name.of-a-large-app.example.com")).collect();
    for n in 0..40 {
        let hosts: Vec<_> = many.iter().map(|host| format!("b{n}-{host}")).collect();
        edge.write(&format!("apps/b{n}.yaml"), &format!("hosts: [{}]\n", hosts.join(", ")));
    }
    wait_until("all of it is live", || edge.apps().len() == 41);
    wait_until("and not on disk", || edge.try_get("/v1/status").unwrap()["documents"]["apps"]["saved_at"].is_null());
    (0..40).for_each(|n| edge.remove(&format!("apps/b{n}.yaml")));
    edge.publisher().wait_for("apps are gone from the store");
    assert_eq!(edge.karman(&["publish", "--accept"]).code, 0);
    wait_until("what fits is on disk again", || edge.try_get("/v1/status").unwrap()["documents"]["apps"]["saved_at"].is_string());
}

#[test]
fn a_socket_whose_file_is_gone_is_said_and_the_edge_serves_on() {
    let address = backend("hello");
    let mut edge = Edge::running(&[("apps/a.yaml", &app("a.test", 1, address))]);
    let listens_on = edge.listens_on();
    fs::remove_file(edge.socket()).unwrap();
    edge.write("apps/a.yaml", &app("a.test", 2, address));
    edge.publisher().wait_for("nothing answers at the proxy's socket");
    assert_eq!(crate::edge::page(listens_on, "a.test").unwrap().status, 200);
    assert_eq!(edge.karman(&["status"]).code, 69);
    edge.start_proxy();
    edge.wait_for_app("a", "/warm_seconds", 2);
}

#[test]
fn clocks_that_are_wrong_by_a_day_stop_no_change() {
    let address = backend("hello");
    let mut edge = Edge::with(&[("apps/a.yaml", &app("a.test", 1, address))]);
    edge.start_proxy();
    for (n, clock) in ["-1d", "+1d", "+0d"].into_iter().enumerate() {
        let seconds = u32::try_from(n).unwrap() + 2;
        edge.start_publisher_at(clock);
        edge.write("apps/a.yaml", &app("a.test", seconds, address));
        edge.wait_for_app("a", "/warm_seconds", seconds);
    }
    assert_eq!(edge.page("a.test").status, 200);
}

/// A lease is a matter between a store and its holder: no clock of two machines is compared.
#[tokio::test]
async fn leases_hold_and_pass_on_between_clocks_that_are_wrong_by_a_day() {
    let etcd = Etcd::start();
    let store = etcd.url().parse::<Place>().unwrap().open().await.unwrap();
    let write = async |key: &str, value: Value| {
        let put = Transaction::new(Author::controller("test")).put(Key::parse(key).unwrap(), Expect::Anything, value.to_string());
        store.commit(&put).await.unwrap();
    };
    write("platform", json!({"domain": "apps.example.net", "certificates": {"cas": ["local"]}})).await;
    let folder = tempfile::tempdir().unwrap();
    let controller = |name: &str, clock: &str| {
        let arguments = ["certificates", "--store", &etcd.url(), "--key-file", "store.key"];
        Program::start_at(clock, name, folder.path(), &arguments)
    };
    let certificate = async |host: &str| {
        let seen = store.look(&Key::parse(&format!("certificates/{host}")).unwrap()).await.unwrap();
        seen.text().map(|text| text.text.clone())
    };
    let certified = async |host: &str| {
        let there = async {
            while certificate(host).await.is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, there).await.unwrap_or_else(|_| panic!("{host} has a certificate"));
        certificate(host).await
    };
    let mut first = controller("first", "+1d");
    write("apps/a", json!({"hosts": ["a.test"]})).await;
    let a = certified("a.test").await;
    let mut second = controller("second", "-1d");
    second.wait_for("this one stands by");
    write("apps/b", json!({"hosts": ["b.test"]})).await;
    let b = certified("b.test").await;
    first.kill();
    write("apps/c", json!({"hosts": ["c.test"]})).await;
    certified("c.test").await;
    assert_eq!((certificate("a.test").await, certificate("b.test").await), (a, b), "nothing is made twice");
    assert!(!second.said().contains("WARN"), "{}", second.said());
}

#[tokio::test]
async fn who_stands_by_for_the_records_outlives_an_etcd_that_is_gone_for_a_while() {
    let mut etcd = Etcd::start();
    let store = etcd.url().parse::<Place>().unwrap().open().await.unwrap();
    let Leased::Ours(first) = store.lease("dns").await.unwrap() else { panic!("nobody else is there") };
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["dns", "apply", "--watch", "--store", &etcd.url()];
    let mut second = Program::start("second", KARMAN.as_ref(), folder.path(), arguments);
    second.wait_for("keeps the records; standing by");
    etcd.kill_member(0);
    second.wait_for("the store does not answer");
    etcd.start_member(0);
    etcd.wait_until_well();
    // Who had it gives it back, or it runs out.
    drop(first);
    second.wait_for("this one keeps the records");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_is_gone_is_asked_more_and_more_seldom() {
    let mut etcd = Etcd::start();
    let store = etcd.url().parse::<Place>().unwrap().open().await.unwrap();
    let mut follow = store.follow(&[Kind::App]).await.unwrap();
    follow.next().await.unwrap();
    etcd.kill_member(0);
    let address = etcd.address(0);
    let asked = std::thread::spawn(move || {
        let mut silent = TcpListener::bind(&address);
        wait_until("its address is free", || {
            silent = TcpListener::bind(&address);
            silent.is_ok()
        });
        // A pass asks four times, 100 ms apart: ten of them, whose pauses double up to 2 s.
        let silent = silent.unwrap();
        let since = Instant::now();
        (0..40).for_each(|_| drop(silent.accept().unwrap()));
        since.elapsed()
    });
    let asked = tokio::task::spawn_blocking(move || asked.join().unwrap()).await.unwrap();
    assert!(asked > Duration::from_secs(6), "asked 40 times within {asked:?}");
}

#[test]
fn who_is_told_to_stop_gives_its_lease_back() {
    let etcd = Etcd::start();
    let folder = tempfile::tempdir().unwrap();
    for (verb, works) in
        [("publish", "the store has 0 apps"), ("certificates", "this one works on"), ("keys", "this one works on")]
    {
        let start = |name: String| {
            Program::start(&name, KARMAN.as_ref(), folder.path(), [verb, "--store", &etcd.url(), "--key-file", "store.key"])
        };
        let mut first = start(format!("{verb}-1"));
        first.wait_for(works);
        assert_eq!(first.interrupt(), 0, "{verb}: {}", first.said());
        let stopped = Instant::now();
        let mut second = start(format!("{verb}-2"));
        second.wait_for(works);
        assert!(stopped.elapsed() < TTL / 2, "{verb} waited {:?}, as for a lease that runs out", stopped.elapsed());
        second.kill();
    }
}

#[test]
fn the_word_to_stop_is_heard_while_a_store_is_opened_that_does_not_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    // With a user the cluster is asked who that is before the store is open.
    let url = format!("etcd://mia@{}/test", silent.local_addr().unwrap());
    for verb in [&["publish"][..], &["certificates"], &["keys"], &["dns", "apply", "--watch"]] {
        let name = verb.join("-");
        let arguments = verb.iter().copied().chain(["--store", &url]);
        let password = [("KARMAN_ETCD_PASSWORD", "secret".to_owned())];
        let mut program = Program::start_with(&name, KARMAN.as_ref(), folder.path(), arguments, password);
        let (_asking, _) = silent.accept().unwrap();
        let told = Instant::now();
        assert_eq!(program.interrupt(), 0, "{name}: {}", program.said());
        // Nobody waits longer for an answer than 5 s.
        assert!(told.elapsed() < Duration::from_millis(2_500), "{name} went on for {:?}", told.elapsed());
    }
}

#[test]
fn two_publishers_on_one_proxy_do_not_fight_over_it() {
    let address = backend("hello");
    let edge = Edge::running(&[("apps/a.yaml", &app("a.test", 1, address))]);
    // Another store, whose publisher was pointed to the wrong edge.
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("apps")).unwrap();
    fs::write(other.path().join("apps/b.yaml"), app("b.test", 1, address)).unwrap();
    wait_until("the next second", || jiff::Timestamp::now().as_second().unsigned_abs() > edge.stamp("apps").0);
    let store = other.path().display().to_string();
    let second = edge.karman(&["publish", "--once", "--store", &store]);
    assert_eq!(second.code, 75, "a later store removes nothing unasked: {second:?}");
    assert_eq!(edge.page("a.test").status, 200);
    // The first one sees that somebody else wrote, and says so instead of undoing it for ever.
    let problem = || edge.report()["problem"].as_str().unwrap_or_default().to_owned();
    wait_until("the first one says so", || problem().contains("follows another store"));
    assert_eq!(edge.report()["up_to_date"], Value::Bool(false));
}
